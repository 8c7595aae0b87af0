// SPDX-License-Identifier: MIT
#include "group_slabs_runner.h"
#include "method.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

bool covers(const Task& task) {
  if (!tree_on_hardware(task)) return false;
  return double_accumulator(task) ? holds_in_group_slabs<double>(task)
                                  : holds_in_group_slabs<float>(task);
}

}  // namespace

const Method kGroupSlabs{
    "group_slabs",
    covers,
    suits_group_slabs,
    [](Task& task) {
      plan_for_accumulator(task, []<class T>(Task& t) { plan_group_slabs<T>(t); });
    },
    nullptr,
    run_items<GroupSlabRunner>,
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
