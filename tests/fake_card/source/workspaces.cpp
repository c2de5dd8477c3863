// Sizes of cuDNN's workspaces, all 0. In: calls of PyTorch. Out: the last argument.
// It stands alone because cudnn.h declares these with types that say no more than pointers do.
#include <cstddef>

extern "C" {

int cudnnGetConvolutionForwardWorkspaceSize(void*, void*, void*, void*, void*, int, size_t* n) {
  return *n = 0;
}
int cudnnGetConvolutionBackwardDataWorkspaceSize(void*, void*, void*, void*, void*, int, size_t* n) {
  return *n = 0;
}
int cudnnGetConvolutionBackwardFilterWorkspaceSize(void*, void*, void*, void*, void*, int, size_t* n) {
  return *n = 0;
}
int cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(void*, int, int, void*, void*, void*,
                                                             void*, void*, size_t* n) {
  return *n = 0;
}
int cudnnGetBatchNormalizationBackwardExWorkspaceSize(void*, int, int, void*, void*, void*, void*, void*,
                                                      void*, void*, size_t* n) {
  return *n = 0;
}
int cudnnGetBatchNormalizationTrainingExReserveSpaceSize(void*, int, int, void*, void*, size_t* n) {
  return *n = 0;
}
}
