// SPDX-License-Identifier: MIT
// GPU launches on the CPU: the very kernel bodies of csrc/cuda, every thread of every block.
// Threads of a block are fibers that change at barriers, first to last or last to first: what
// depends on the sequence between two barriers differs between the two. Barriers that not all
// threads reach are an error, and so is memory that a launch leaves untouched but an op reads: it
// holds NaNs.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

#include "core/environment.h"
#include "cuda/machine.h"

namespace native {

/// Runs f(0), f(1), ... f(n - 1) as fibers.
class Fibers {
 public:
  Fibers(int n, bool backwards) : n_(n), backwards_(backwards) {}

  void run(const std::function<void(int)>& f) {
    body_ = &f;
    stacks_.resize(static_cast<size_t>(n_));
    contexts_.resize(static_cast<size_t>(n_));
    places_.resize(static_cast<size_t>(n_));
    started_.assign(static_cast<size_t>(n_), false);
    done_.assign(static_cast<size_t>(n_), false);
    for (int i = 0; i < n_; ++i) {
      auto& stack = stacks_[static_cast<size_t>(i)];
      if (!stack) stack.reset(new char[kStack]);
      ucontext_t& context = contexts_[static_cast<size_t>(i)];
      getcontext(&context);
      context.uc_stack.ss_sp = stack.get();
      context.uc_stack.ss_size = kStack;
      const auto self = reinterpret_cast<uintptr_t>(this);
      makecontext(&context, reinterpret_cast<void (*)()>(&Fibers::enter), 2,
                  static_cast<unsigned>(self >> 32), static_cast<unsigned>(self));
    }
    for (int finished = 0; finished < n_;) {
      const int before = finished;
      for (int turn = 0; turn < n_; ++turn) {
        now_ = backwards_ ? n_ - 1 - turn : turn;
        go_on();
        finished += done_[static_cast<size_t>(now_)] ? 1 : 0;
      }
      if (finished != before && finished != n_) {
        throw std::logic_error("some threads of a block end where others meet a barrier");
      }
    }
  }
  /// Called by a fiber.
  void barrier() {
    if (_setjmp(places_[static_cast<size_t>(now_)].buffer) == 0) _longjmp(scheduler_, 1);
  }

 private:
  static constexpr size_t kStack = size_t{64} << 10;

  /// Lets fiber now_ run up to its next barrier. Contexts are for the first entry only: to change
  /// them takes two system calls, to jump takes none.
  void go_on() {
    const auto i = static_cast<size_t>(now_);
    if (_setjmp(scheduler_) != 0) return;
    if (started_[i]) _longjmp(places_[i].buffer, 1);
    started_[i] = true;
    setcontext(&contexts_[i]);
  }

  static void enter(unsigned high, unsigned low) {
    auto* self = reinterpret_cast<Fibers*>((static_cast<uintptr_t>(high) << 32) | low);
    const int i = self->now_;
    (*self->body_)(i);
    self->done_[static_cast<size_t>(i)] = true;
    _longjmp(self->scheduler_, 1);
  }

  int n_;
  bool backwards_;
  int now_ = 0;
  const std::function<void(int)>* body_ = nullptr;
  jmp_buf scheduler_;
  struct Place {
    jmp_buf buffer;
  };
  std::vector<std::unique_ptr<char[]>> stacks_;
  std::vector<ucontext_t> contexts_;
  std::vector<Place> places_;
  std::vector<bool> started_, done_;
};

class EmulatedBlock {
 public:
  EmulatedBlock(int thread, int64_t index, int64_t count, void* shared, Fibers* fibers)
      : thread_(thread), index_(index), count_(count), shared_(shared), fibers_(fibers) {}

  int thread() const { return thread_; }
  int64_t index() const { return index_; }
  int64_t count() const { return count_; }
  void sync() const { fibers_->barrier(); }
  int64_t add_to(int64_t* counter, int64_t n) const {
    const int64_t before = *counter;
    *counter += n;
    return before;
  }
  template <class Shared>
  Shared& shared() const {
    return *static_cast<Shared*>(shared_);
  }

 private:
  int thread_;
  int64_t index_, count_;
  void* shared_;
  Fibers* fibers_;
};

/// What launches must not depend on.
struct Geometry {
  int64_t multiprocessors;
  bool backwards;
};
inline constexpr Geometry kGeometries[] = {{1, true}, {7, false}};

/// In place of cuda::Machine.
class EmulatedMachine {
 public:
  EmulatedMachine(int64_t multiprocessors, bool backwards)
      : multiprocessors_(multiprocessors), backwards_(backwards) {}

  int64_t multiprocessors() const { return multiprocessors_; }
  int64_t launches() const { return launches_; }

  template <class T>
  T* allocate(int64_t count) {
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    memory_.emplace_back(new char[bytes]);
    std::memset(memory_.back().get(), 0xff, bytes);
    return reinterpret_cast<T*>(memory_.back().get());
  }

  template <class Kernel>
  void launch(int64_t blocks, const typename Kernel::Task& task) {
    ++launches_;
    const fpdet::EnvironmentGuard guard(Kernel::rounding(task));
    using Shared = typename Kernel::Shared;
    if constexpr (__is_same(Shared, fpdet::cuda::Nothing)) {  // no barriers: a plain loop will do
      for_blocks(blocks, [&](int64_t b) {
        for (int t = 0; t < Kernel::kThreads; ++t) {
          EmulatedBlock block(t, b, blocks, nullptr, nullptr);
          run<Kernel>(task, block);
        }
      });
    } else {
      Fibers fibers(Kernel::kThreads, backwards_);
      const auto shared = std::make_unique<Shared>();
      for_blocks(blocks, [&](int64_t b) {
        std::memset(static_cast<void*>(shared.get()), 0xff, sizeof(Shared));
        fibers.run([&](int t) {
          EmulatedBlock block(t, b, blocks, shared.get(), &fibers);
          run<Kernel>(task, block);
        });
      });
    }
  }

 private:
  /// Not inlined: arithmetic stays behind the guard.
  template <class Kernel>
  [[gnu::noinline]] static void run(const typename Kernel::Task& task, EmulatedBlock& block) {
    Kernel::run(task, block);
  }
  template <class F>
  void for_blocks(int64_t blocks, F&& f) const {
    for (int64_t i = 0; i < blocks; ++i) f(backwards_ ? blocks - 1 - i : i);
  }

  int64_t multiprocessors_;
  bool backwards_;
  int64_t launches_ = 0;
  std::vector<std::unique_ptr<char[]>> memory_;
};

}  // namespace native
