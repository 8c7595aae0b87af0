// SPDX-License-Identifier: MIT
// The methods of one instruction set, and the choice among them: by the task's
// shape alone, never by a timing. Compiled once per instruction set; kernels
// take nothing out of line from the standard library, so that no instruction of
// theirs can be linked into code that runs on every processor.
#include "exact_groups.h"
#include "flatten.h"
#include "method.h"
#include "table.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

/// The first that covers and suits a task is taken.
const Method* const kMethods[] = {
    &kAcrossSums, &kAlongSums, &kJoined, &kDirect,   &kGroupSlabs,  &kGrouped,     &kBroadcast,
    &kFolded,     &kWindow,    &kTiled,  &kEmulated, &kExactDirect, &kExactGroups, &kExact};

const Method* find(const Task& task) {
  const bool by_shape = task.tiles.method[0] == '\0';
  for (const Method* method : kMethods) {
    if ((task.part_count > 1) != (method == &kJoined)) continue;
    const bool wanted =
        by_shape ? method->suits(task) : __builtin_strcmp(method->name, task.tiles.method) == 0;
    if (wanted && method->covers(task)) return method;
  }
  return nullptr;
}

void count(Task& task) {
  task.rows = task.problem.rows.product();
  task.cols = task.problem.cols.product();
  task.terms = task.problem.terms.product();
  task.runs = schedule_of(task).runs();
  task.depth = stack_depth(task);
  task.chunk = at_most(task.tiles.terms > 0 ? at_most(task.tiles.terms, 4096) : kChunk,
                       at_least(task.terms, 1));
  // Boxes of lines suit the first cache better than one long line does.
  const bool boxes = kDirect.suits(task) && kDirect.covers(task);
  if (task.part_count == 1 && !boxes) task.problem = flattened(task.problem);
}

bool covers(void* opaque) {
  Task& task = *static_cast<Task*>(opaque);
  count(task);
  return find(task) != nullptr;
}

bool plan(void* opaque) {
  Task& task = *static_cast<Task*>(opaque);
  count(task);
  task.items = task.left_items = 0;
  const Method* method = find(task);
  if (method == nullptr) return false;
  task.method = method;
  if (task.problem.outputs() > 0) method->plan(task);
  return true;
}

const Method& method_of(const void* opaque) {
  return *static_cast<const Method*>(static_cast<const Task*>(opaque)->method);
}

void pack_left(const void* opaque, int64_t begin, int64_t end) {
  method_of(opaque).pack_left(*static_cast<const Task*>(opaque), begin, end);
}

void run(const void* opaque, void* scratch, cpu::Pieces& items) {
  method_of(opaque).run(*static_cast<const Task*>(opaque), scratch, items);
}

/// Unless a knob names the method.
bool suits_half(void* opaque) {
  Task& task = *static_cast<Task*>(opaque);
  count(task);
  const Method* method = find(task);
  return task.tiles.method[0] == '\0' && method != nullptr && method->suits_half != nullptr &&
         method->suits_half(task);
}

constexpr int kMethodCount = sizeof kMethods / sizeof kMethods[0];

const char* method_name(int i) { return i < kMethodCount ? kMethods[i]->name : nullptr; }

}  // namespace

const cpu::ContractionKernels& contraction_kernels() {
  static constexpr cpu::ContractionKernels kKernels{covers, plan,        pack_left,
                                                    run,    method_name, suits_half};
  return kKernels;
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
