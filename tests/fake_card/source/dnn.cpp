// Functions of cuDNN (its interface of version 7) that give something back; all others are stubs.
// In: calls of PyTorch, which keeps to that interface where TORCH_CUDNN_V8_API_DISABLED is set.
// Out: descriptors that hold nothing, one deterministic algorithm, workspaces of no bytes.
#include <cudnn.h>

#include <cstdlib>
#include <cstring>

template <class Performance>
static cudnnStatus_t choose(int* n, Performance* chosen) {
  memset(chosen, 0, sizeof *chosen);
  chosen->algo = decltype(chosen->algo)(1);
  chosen->determinism = CUDNN_DETERMINISTIC;
  chosen->mathType = CUDNN_DEFAULT_MATH;
  *n = 1;
  return CUDNN_STATUS_SUCCESS;
}

template <class Descriptor>
static cudnnStatus_t make(Descriptor* object) {
  *object = (Descriptor)calloc(1, 512);
  return CUDNN_STATUS_SUCCESS;
}

extern "C" {

size_t cudnnGetVersion() { return CUDNN_VERSION; }
size_t cudnnGetCudartVersion() { return CARD_CUDA_VERSION; }
const char* cudnnGetErrorString(cudnnStatus_t) { return "an error of the stand-in for cuDNN"; }
void cudnnGetLastErrorString(char* text, size_t n) {
  if (n) *text = 0;
}

cudnnStatus_t cudnnGetProperty(libraryPropertyType kind, int* value) {
  *value = kind == MAJOR_VERSION ? CUDNN_MAJOR : kind == MINOR_VERSION ? CUDNN_MINOR : CUDNN_PATCHLEVEL;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* o) { return make(o); }
cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* o) { return make(o); }
cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* o) { return make(o); }
cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t* o) { return make(o); }
cudnnStatus_t cudnnCreateActivationDescriptor(cudnnActivationDescriptor_t* o) { return make(o); }
cudnnStatus_t cudnnCreateDropoutDescriptor(cudnnDropoutDescriptor_t* o) { return make(o); }
cudnnStatus_t cudnnCreatePoolingDescriptor(cudnnPoolingDescriptor_t* o) { return make(o); }
cudnnStatus_t cudnnCreateSpatialTransformerDescriptor(cudnnSpatialTransformerDescriptor_t* o) {
  return make(o);
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(
    cudnnHandle_t, const cudnnTensorDescriptor_t, const cudnnFilterDescriptor_t,
    const cudnnConvolutionDescriptor_t, const cudnnTensorDescriptor_t, const int, int* n,
    cudnnConvolutionFwdAlgoPerf_t* chosen) {
  return choose(n, chosen);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(
    cudnnHandle_t, const cudnnFilterDescriptor_t, const cudnnTensorDescriptor_t,
    const cudnnConvolutionDescriptor_t, const cudnnTensorDescriptor_t, const int, int* n,
    cudnnConvolutionBwdDataAlgoPerf_t* chosen) {
  return choose(n, chosen);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(
    cudnnHandle_t, const cudnnTensorDescriptor_t, const cudnnTensorDescriptor_t,
    const cudnnConvolutionDescriptor_t, const cudnnFilterDescriptor_t, const int, int* n,
    cudnnConvolutionBwdFilterAlgoPerf_t* chosen) {
  return choose(n, chosen);
}
}
