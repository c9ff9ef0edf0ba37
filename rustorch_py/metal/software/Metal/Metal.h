/* Metal as far as helper.m uses it, for the software device (device.m). Names and types are Apple's. */
#ifndef RT_SOFTWARE_METAL_H
#define RT_SOFTWARE_METAL_H
#import <Foundation/Foundation.h>
#include <stdint.h>
typedef struct { NSUInteger width, height, depth; } MTLSize;
static inline MTLSize MTLSizeMake(NSUInteger w, NSUInteger h, NSUInteger d) { MTLSize s = {w, h, d}; return s; }
typedef NSUInteger MTLResourceOptions;
enum { MTLResourceStorageModeShared = 0 };
typedef NSUInteger MTLPipelineOption;
enum { MTLPipelineOptionNone = 0 };
typedef enum { MTLCommandBufferStatusNotEnqueued = 0, MTLCommandBufferStatusCommitted = 2, MTLCommandBufferStatusCompleted = 4,
               MTLCommandBufferStatusError = 5 } MTLCommandBufferStatus;
typedef enum { MTLGPUFamilyApple7 = 1007 } MTLGPUFamily;
@interface MTLCompileOptions : NSObject { BOOL fast; }
- (void)setFastMathEnabled:(BOOL)fast;
- (BOOL)fastMathEnabled;
@end
@protocol MTLBuffer <NSObject>
- (void *)contents;
- (NSUInteger)length;
@end
@protocol MTLFunction <NSObject>
@end
@interface MTLComputePipelineDescriptor : NSObject { id<MTLFunction> function; NSUInteger most; }
- (void)setComputeFunction:(id<MTLFunction>)to;
- (id<MTLFunction>)computeFunction;
- (void)setMaxTotalThreadsPerThreadgroup:(NSUInteger)to;
- (NSUInteger)maxTotalThreadsPerThreadgroup;
@end
@protocol MTLLibrary <NSObject>
- (id<MTLFunction>)newFunctionWithName:(NSString *)name;
@end
@protocol MTLComputePipelineState <NSObject>
- (NSUInteger)maxTotalThreadsPerThreadgroup;
@end
@protocol MTLComputeCommandEncoder <NSObject>
- (void)setComputePipelineState:(id<MTLComputePipelineState>)pipeline;
- (void)setBuffer:(id<MTLBuffer>)buffer offset:(NSUInteger)offset atIndex:(NSUInteger)index;
- (void)setBytes:(const void *)bytes length:(NSUInteger)length atIndex:(NSUInteger)index;
- (void)dispatchThreadgroups:(MTLSize)grid threadsPerThreadgroup:(MTLSize)group;
- (void)endEncoding;
@end
@protocol MTLCommandBuffer <NSObject>
- (id<MTLComputeCommandEncoder>)computeCommandEncoder;
- (void)commit;
- (void)waitUntilCompleted;
- (MTLCommandBufferStatus)status;
- (NSError *)error;
@end
@protocol MTLCommandQueue <NSObject>
- (id<MTLCommandBuffer>)commandBuffer;
@end
@protocol MTLDevice <NSObject>
- (NSString *)name;
- (uint64_t)recommendedMaxWorkingSetSize;
- (NSUInteger)currentAllocatedSize;
- (BOOL)supportsFamily:(MTLGPUFamily)family;
- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options;
- (id<MTLCommandQueue>)newCommandQueue;
- (id<MTLLibrary>)newLibraryWithSource:(NSString *)source options:(MTLCompileOptions *)options error:(NSError **)error;
- (id<MTLComputePipelineState>)newComputePipelineStateWithDescriptor:(MTLComputePipelineDescriptor *)descriptor options:(MTLPipelineOption)options
                                                           reflection:(void *)reflection error:(NSError **)error;
@end
NSArray *MTLCopyAllDevices(void);
#endif
