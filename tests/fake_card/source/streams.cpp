// Streams, events, and what may happen while a graph is captured.
// In: calls of PyTorch. Out: waits of the host, counted; a capture that ends early where the host waits
// or asks for something that a graph cannot hold. Everything is done at once, so no wait lasts.
//
// A capture spreads to each stream that waits for an event of it, and ends in all of them together:
// that a forked stream was joined again is not checked. One that was refused something ends with an error.
#include "card.h"

#include <mutex>
#include <utility>
#include <vector>

struct Stream {
  bool is_capturing = false;
};
struct Event {
  bool is_captured = false;
};

static Stream default_stream;  // null and the two special values stand for it
static std::vector<Stream*> streams;
static std::mutex lock;
static std::atomic<int> n_captures{0};
static std::atomic<long> n_nodes{0};
static std::atomic<bool> is_invalid{false};  // the capture that is underway; its end is an error

static Stream* stream_of(cudaStream_t stream) {
  return (size_t)stream <= 2 ? &default_stream : (Stream*)stream;
}

bool is_capturing(cudaStream_t stream) { return stream_of(stream)->is_capturing; }
bool any_capture() { return n_captures > 0; }
void add_node() {
  if (any_capture()) n_nodes++;
}

Status refuse_in_capture(const char* what, cudaStream_t stream) {
  if (!is_capturing(stream)) return cudaSuccess;
  complain((std::string(what) + " in a stream that is being captured").c_str());
  is_invalid = true;
  return fail(cudaErrorStreamCaptureUnsupported);
}

Status refuse_in_any_capture(const char* what) {
  if (!any_capture()) return cudaSuccess;
  complain((std::string(what) + " while a graph is captured").c_str());
  is_invalid = true;
  return fail(cudaErrorStreamCaptureUnsupported);
}

extern "C" {

Status cudaStreamCreate(cudaStream_t* stream) {
  std::lock_guard<std::mutex> guard(lock);
  streams.push_back(new Stream);
  *stream = (cudaStream_t)streams.back();
  return cudaSuccess;
}

Status cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return cudaStreamCreate(stream); }
Status cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) {
  return cudaStreamCreate(stream);
}
Status cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }

Status cudaStreamGetPriority(cudaStream_t, int* priority) {
  *priority = 0;
  return cudaSuccess;
}

Status cudaStreamQuery(cudaStream_t stream) { return refuse_in_capture("cudaStreamQuery", stream); }

Status cudaStreamSynchronize(cudaStream_t stream) {
  if (Status status = refuse_in_capture("cudaStreamSynchronize", stream)) return status;
  counters().stream_waits++;
  return cudaSuccess;
}

Status cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (((Event*)event)->is_captured) stream_of(stream)->is_capturing = true;
  return cudaSuccess;
}

Status cudaStreamAddCallback(cudaStream_t stream, void (*call)(cudaStream_t, Status, void*), void* data,
                             unsigned) {
  call(stream, cudaSuccess, data);
  return cudaSuccess;
}

Status cudaLaunchHostFunc(cudaStream_t, void (*call)(void*), void* data) {
  call(data);
  return cudaSuccess;
}

Status cudaEventCreate(cudaEvent_t* event) {
  *event = (cudaEvent_t) new Event;
  return cudaSuccess;
}
Status cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return cudaEventCreate(event); }

Status cudaEventDestroy(cudaEvent_t event) {
  delete (Event*)event;
  return cudaSuccess;
}

Status cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  ((Event*)event)->is_captured = is_capturing(stream);
  return cudaSuccess;
}
Status cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned) {
  return cudaEventRecord(event, stream);
}

Status cudaEventQuery(cudaEvent_t) { return cudaSuccess; }

Status cudaEventSynchronize(cudaEvent_t) {
  counters().event_waits++;
  return cudaSuccess;
}

Status cudaEventElapsedTime(float* ms, cudaEvent_t, cudaEvent_t) {
  *ms = 1;
  return cudaSuccess;
}
Status cudaEventElapsedTime_v2(float* ms, cudaEvent_t from, cudaEvent_t to) {
  return cudaEventElapsedTime(ms, from, to);
}

Status cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  static thread_local cudaStreamCaptureMode now = cudaStreamCaptureModeGlobal;
  std::swap(*mode, now);
  return cudaSuccess;
}

Status cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  *status = is_capturing(stream) ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

Status cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (stream_of(stream) == &default_stream) return fail(cudaErrorStreamCaptureUnsupported);
  stream_of(stream)->is_capturing = true;
  n_captures++;
  n_nodes = 0;
  is_invalid = false;
  return cudaSuccess;
}

Status cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
  std::lock_guard<std::mutex> guard(lock);
  n_captures--;
  for (Stream* stream : streams) stream->is_capturing = false;
  *graph = nullptr;
  if (is_invalid) return fail(cudaErrorStreamCaptureInvalidated);
  *graph = (cudaGraph_t) new long(n_nodes);
  return cudaSuccess;
}

// The last two arguments came with CUDA 12.3: who passes fewer leaves `n` out, and gets no edges.
Status cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                unsigned long long* id, cudaGraph_t* graph, const void** nodes,
                                const void** edges, size_t* n) {
  if (status) cudaStreamIsCapturing(stream, status);
  if (id) *id = is_capturing(stream) ? 7 : 0;
  if (graph) *graph = nullptr;
  if (nodes) *nodes = nullptr;
  if (edges) *edges = nullptr;
  if (n) *n = 0;
  return cudaSuccess;
}
Status cudaStreamGetCaptureInfo_v3(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                   unsigned long long* id, cudaGraph_t* graph, const void** nodes,
                                   const void** edges, size_t* n) {
  return cudaStreamGetCaptureInfo(stream, status, id, graph, nodes, edges, n);
}
Status cudaStreamGetCaptureInfo_v2(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                   unsigned long long* id, cudaGraph_t* graph, const void** nodes,
                                   size_t* n) {
  return cudaStreamGetCaptureInfo(stream, status, id, graph, nodes, nullptr, n);
}

// A graph is the number of its nodes.
Status cudaGraphInstantiate(cudaGraphExec_t* ready, cudaGraph_t graph, unsigned long long) {
  *ready = (cudaGraphExec_t)graph;
  return cudaSuccess;
}
Status cudaGraphInstantiateWithFlags(cudaGraphExec_t* ready, cudaGraph_t graph,
                                     unsigned long long flags) {
  return cudaGraphInstantiate(ready, graph, flags);
}

Status cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* n) {
  *n = *(long*)graph;
  return cudaSuccess;
}

Status cudaGraphLaunch(cudaGraphExec_t, cudaStream_t) {
  counters().graph_launches++;
  return cudaSuccess;
}

Status cudaGraphDestroy(cudaGraph_t) { return cudaSuccess; }
Status cudaGraphExecDestroy(cudaGraphExec_t) { return cudaSuccess; }
long fake_captured_nodes() { return n_nodes; }
}
