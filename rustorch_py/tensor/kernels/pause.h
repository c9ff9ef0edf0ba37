/* PAUSE(): what a thread does between two looks at a word that another one writes. */
#ifndef RUSTORCH_PAUSE_H
#define RUSTORCH_PAUSE_H
#if defined(__x86_64__) || defined(__i386__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE() ((void)0)
#endif
#endif
