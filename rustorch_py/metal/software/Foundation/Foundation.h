/* Foundation as far as helper.m uses it, for the software device: reference counts, pools, text, arrays and errors over gcc's runtime. */
#ifndef RT_SOFTWARE_FOUNDATION_H
#define RT_SOFTWARE_FOUNDATION_H
#include <objc/objc.h>
#include <objc/runtime.h>
#include <stddef.h>
typedef unsigned long NSUInteger;
#ifndef YES
#define YES ((BOOL)1)
#define NO ((BOOL)0)
#endif
#ifndef nil
#define nil ((id)0)
#endif
@protocol NSObject
- (id)retain;
- (void)release;
- (id)autorelease;
@end
__attribute__((objc_root_class)) @interface NSObject <NSObject> { Class isa; int count; }
+ (id)alloc;
- (id)init;
- (void)dealloc;
@end
@interface NSAutoreleasePool : NSObject { NSAutoreleasePool *outer; id *held; int n, room; }
- (void)add:(id)object;
@end
@interface NSString : NSObject { char *text; }
+ (NSString *)stringWithUTF8String:(const char *)text;
- (const char *)UTF8String;
@end
@interface NSArray : NSObject { id *objects; NSUInteger n; }
- (id)initWithObject:(id)object again:(id)another;
- (NSUInteger)count;
- (id)objectAtIndex:(NSUInteger)index;
@end
@interface NSError : NSObject { NSString *text; }
- (id)initWithText:(const char *)text;
- (NSString *)localizedDescription;
@end
#endif
