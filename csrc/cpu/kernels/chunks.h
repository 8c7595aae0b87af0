// SPDX-License-Identifier: MIT
// The schedule of an order, cut into chunks of terms that are packed and summed together.
#pragma once

#include "pack.h"
#include "run_steps.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// Walks the schedule chunk by chunk: the terms of a chunk and the steps that sum them.
class Chunks {
 public:
  explicit Chunks(const Task& task)
      : task_(task), schedule_(schedule_of(task)), steps_(schedule_) {}

  bool done() const { return steps_.done(); }

  /// Writer is a PlaceWriter or has its append, append_range and finish.
  template <class Writer>
  int64_t next(Writer& writer, Step* steps) {
    const int64_t count = steps_.next(
        task_.chunk, steps,
        [&](int64_t first, int64_t stride, int64_t n) { append(writer, first, stride, n); });
    writer.finish();
    return count;
  }

 private:
  template <class Writer>
  void append(Writer& writer, int64_t first, int64_t stride, int64_t n) const {
    if (stride == 1 && task_.order.kind != OrderKind::Shuffled) {
      writer.append_range(first, n);
      return;
    }
    for (int64_t i = 0; i < n; ++i) writer.append(schedule_.term(first + i * stride));
  }

  const Task& task_;
  Schedule schedule_;
  RunSteps steps_;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
