// SPDX-License-Identifier: MIT
// The fast contraction of one instruction set, as a table of functions: plan, packing of the left
// operand, work items. Compiled once per instruction set; takes nothing out of line from the
// standard library, so that no instruction of this file can be linked into code that runs on every
// processor.
#include "../../core/environment.h"
#include "direct_runner.h"
#include "grouped_runner.h"
#include "left.h"
#include "plan.h"
#include "table.h"
#include "tiled_runner.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

template <class Runner>
void run_items(const Task& task, void* scratch, int64_t begin, int64_t end) {
  Runner runner(task, static_cast<char*>(scratch));
  for (int64_t item = begin; item < end; ++item) runner.run(item);
}

void run(const void* opaque, void* scratch, int64_t begin, int64_t end) {
  const Task& task = *static_cast<const Task*>(opaque);
  const EnvironmentGuard guard(task.arithmetic.rounding);
  with_types(task, [&]<class T, class S>(T, S) {
    switch (task.method) {
      case Method::Direct:
        return run_items<DirectRunner<T, S>>(task, scratch, begin, end);
      case Method::Grouped:
        return run_items<GroupedRunner<T, S>>(task, scratch, begin, end);
      default:
        return run_items<TiledRunner<T, S>>(task, scratch, begin, end);
    }
  });
}

}  // namespace

const cpu::ContractionKernels& contraction_kernels() {
  static constexpr cpu::ContractionKernels kKernels{plan, pack_left, run};
  return kKernels;
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
