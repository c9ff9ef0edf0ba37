"""The switches of ``backends.cudnn``, apart from what they switch so that they can be set before a device is looked for."""

enabled = True              # may cuDNN be used
benchmark = False           # time the plans of each signature and keep the fastest
benchmark_limit = 10        # how many; 0: all
deterministic = False       # only plans that give the same bits each time
allow_tf32 = True           # float32 convolutions may round their inputs to TF32
