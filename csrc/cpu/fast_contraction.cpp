// SPDX-License-Identifier: MIT
// The fast contraction, portable half: what it covers, memory, threads. Kernels: kernels/.
#include "fast_contraction.h"

#include <atomic>
#include <cstdlib>
#include <list>
#include <memory>
#include <mutex>
#include <new>
#include <thread>

#include "../core/permutation.h"
#include "contraction.h"
#include "dispatch.h"
#include "exact_stages.h"
#include "kernels/task.h"

namespace fpdet::cpu {
namespace {

std::atomic<const Knobs*> knobs{nullptr};
std::atomic<int64_t> most_scratch{0}, most_packed_left{0};

void raise_to(std::atomic<int64_t>& most, int64_t bytes) {
  int64_t before = most.load();
  while (before < bytes && !most.compare_exchange_weak(before, bytes)) {
  }
}

struct Free {
  void operator()(void* p) const { std::free(p); }
};
using Memory = std::unique_ptr<void, Free>;

Memory allocate(int64_t bytes) {
  const size_t size = (static_cast<size_t>(bytes) + 63) / 64 * 64;
  void* p = std::aligned_alloc(64, size == 0 ? 64 : size);
  if (p == nullptr) throw std::bad_alloc();
  return Memory(p);
}

/// Scratch of this thread, kept between calls; at most kernels::kScratchLimit.
void* thread_scratch(int64_t bytes) {
  thread_local Memory memory;
  thread_local int64_t size = 0;
  if (bytes > size) {
    memory.reset();
    size = 0;
    memory = allocate(bytes);
    size = bytes;
  }
  return memory.get();
}

int64_t hardware_threads() {
  static const int64_t threads = std::thread::hardware_concurrency();
  return threads > 0 ? threads : 1;
}

bool shares_small_work() {
  const Knobs* set = knobs.load();
  return set != nullptr && set->workers > 0;
}

kernels::Task task_of(const ContractionCall& call) {
  kernels::Task task;
  task.problem = call.problem;
  task.order = call.order;
  task.arithmetic = call.arithmetic;
  task.scalar = call.scalar;
  task.left = call.left;
  task.right = call.right;
  task.bias = call.bias;
  task.bias_stride = call.bias_stride;
  task.out = call.out;
  task.workers = hardware_threads();
  task.seed = call.draw.seed;
  task.counter = call.draw.counter;
  task.pass = call.draw.pass;
  task.batch_offset = call.draw.batch_offset;
  task.stage_counts = exact_stage_counters();
  if (const Knobs* set = knobs.load()) {
    task.tiles = {set->columns, set->terms, set->rows, set->method.c_str()};
    if (set->workers > 0) task.workers = set->workers;
  }
  return task;
}

}  // namespace

void set_knobs(const Knobs& wanted) {
  static std::mutex mutex;
  static std::list<Knobs> all;  // none is freed: another thread may be reading it
  const std::lock_guard lock(mutex);
  knobs = &all.emplace_back(wanted);
}

std::vector<std::string> contraction_methods() {
  std::vector<std::string> names;
  const auto name_of = contraction_kernels().method_name;
  for (int i = 0; const char* name = name_of(i); ++i) names.emplace_back(name);
  return names;
}

WorkMemory take_work_memory() { return {most_scratch.exchange(0), most_packed_left.exchange(0)}; }

namespace {

/// The problem and the rest, for a method that takes them together.
std::vector<Contraction> join(const ContractionCall& call, kernels::Task& task) {
  std::vector<Contraction> parts{call.problem};
  parts.insert(parts.end(), call.rest.begin(), call.rest.end());
  task.parts = parts.data();
  task.part_count = static_cast<int64_t>(parts.size());
  return parts;
}

const ContractionKernels& kernels_for(kernels::Task task) { return contraction_kernels_for(&task); }

int64_t multiply_adds(const ContractionCall& call) {
  int64_t sum = call.problem.outputs() * call.problem.terms.product();
  for (const Contraction& c : call.rest) sum += c.outputs() * c.terms.product();
  return sum;
}

bool run(kernels::Task& task, const ContractionCall& call, const ParallelFor& parallel_for) {
  const ContractionKernels& kernels = kernels_for(task);
  if (!kernels.plan(&task)) return false;
  if (task.items == 0) return true;
  raise_to(most_scratch, task.scratch_bytes);
  raise_to(most_packed_left, task.left_bytes);
  const Memory left = allocate(task.left_bytes);
  task.packed_left = left.get();
  const auto pack = [&](int64_t begin, int64_t end) { kernels.pack_left(&task, begin, end); };
  const auto compute = [&](Pieces& items) {
    kernels.run(&task, thread_scratch(task.scratch_bytes), items);
  };
  // Small work stays on the calling thread: waking the pool costs more than this many
  // multiply-adds, and so little does without the pool's interface.
  constexpr int64_t kWorthAThread = 1 << 16;
  const int64_t work = multiply_adds(call);
  const int64_t per_item = work / task.items + 1;
  const int64_t grain = shares_small_work() ? 1 : kWorthAThread / per_item + 1;
  const bool small = task.items <= grain;
  if (small && work <= kWorthAThread) {
    if (task.left_items > 0) pack(0, task.left_items);
    WholeRange all(task.items);
    compute(all);
    return true;
  }
  for_each_piece(parallel_for, task.left_items, small ? task.left_items : 1, pack);
  parallel_for(task.items, grain, compute);
  return true;
}

/// Whether the parts are covered one by one.
bool all_covered(const ContractionCall& call, size_t parts) {
  for (size_t i = 0; i < parts; ++i) {
    if (!fast_contraction_covers(part_of(call, i))) return false;
  }
  return true;
}

}  // namespace

bool fast_contraction_covers(const ContractionCall& call) {
  kernels::Task task = task_of(call);
  if (call.rest.empty()) return contraction_kernels().covers(&task);
  const auto parts = join(call, task);
  return contraction_kernels().covers(&task) || all_covered(call, parts.size());
}

bool fast_contraction(const ContractionCall& call, const ParallelFor& parallel_for) {
  kernels::Task task = task_of(call);
  if (call.rest.empty()) {
    const Permutation permutation(call.order, call.problem.terms.product(), call.draw.counter);
    task.permutation = permutation.data();
    return run(task, call, parallel_for);
  }
  const auto parts = join(call, task);
  if (run(task, call, parallel_for)) return true;
  if (!all_covered(call, parts.size())) return false;
  for (size_t i = 0; i < parts.size(); ++i) fast_contraction(part_of(call, i), parallel_for);
  return true;
}

}  // namespace fpdet::cpu
