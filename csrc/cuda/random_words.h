// SPDX-License-Identifier: MIT
// The random words on a GPU: one element a thread.
#pragma once

#include "outline.h"
// outline.h stands before all of core

#include "../calls/random_words.h"
#include "block.h"
#include "machine.h"
#include "values.h"

namespace fpdet::cuda {

struct RandomWords {
  using Task = RandomWordsCall;
  using Shared = Nothing;
  static constexpr int kThreads = 256, kResident = 4;
  FPDET_HD static constexpr Rounding rounding(const Task&) { return Rounding::NearestEven; }

  template <class Block>
  FPDET_HD static void run(const Task& task, Block& block) {
    const Draw draw = resolved(task.draw);
    for_share<RandomWords>(block, task.samples * task.elements,
                           [&](int64_t i) { write_random_words(task, draw, i); });
  }
};

template <class Machine>
void random_words(const RandomWordsCall& call, Machine& machine) {
  using Kernel = RandomWords;
  machine.template launch<Kernel>(blocks_for<Kernel>(machine, call.samples * call.elements), call);
}

}  // namespace fpdet::cuda
