// SPDX-License-Identifier: MIT
#include "parallel.h"

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <exception>
#include <mutex>
#include <stdexcept>

namespace fpdet::torch_ops {
namespace {

/// While one exists, SIGINT also raises a flag that loops poll; the handler that was there before
/// (Python's, which only takes a note) runs as well, and comes back when the last one is gone.
class InterruptWatch {
 public:
  InterruptWatch() {
    const std::lock_guard lock(mutex_);
    if (watchers_++ > 0) return;
    raised_ = false;
    struct sigaction action{};
    action.sa_handler = &InterruptWatch::handle;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, &before_);
  }
  ~InterruptWatch() {
    const std::lock_guard lock(mutex_);
    if (--watchers_ == 0) sigaction(SIGINT, &before_, nullptr);
  }
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

  static bool raised() { return raised_; }

 private:
  static void handle(int signal) {
    raised_ = true;
    if ((before_.sa_flags & SA_SIGINFO) == 0 && before_.sa_handler != SIG_DFL &&
        before_.sa_handler != SIG_IGN) {
      before_.sa_handler(signal);
    }
  }

  static inline std::mutex mutex_;
  static inline int watchers_ = 0;
  static inline std::atomic<bool> raised_{false};
  static inline struct sigaction before_{};
};

}  // namespace

void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  // The pool's C interface would reduce an exception to an error code: carry it around.
  std::mutex mutex;
  std::exception_ptr first;
  torch::stable::parallel_for(0, count, std::max<int64_t>(1, grain),
                              [&](int64_t begin, int64_t end) {
                                try {
                                  body(begin, end);
                                } catch (...) {
                                  const std::lock_guard lock(mutex);
                                  if (!first) first = std::current_exception();
                                }
                              });
  if (first) std::rethrow_exception(first);
}

void interruptible_parallel_for(double seconds_per_item, int64_t count, int64_t grain,
                                const std::function<void(int64_t, int64_t)>& body) {
  constexpr double kPieceSeconds = 0.2;
  const double items = std::clamp(kPieceSeconds / seconds_per_item, 1.0, 1e15);
  const auto piece = static_cast<int64_t>(items);
  if (count <= piece) return parallel_for(count, grain, body);
  const InterruptWatch watch;
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; at += piece) {
      if (InterruptWatch::raised()) throw std::runtime_error(kInterrupted);
      body(at, std::min(end, at + piece));
    }
  });
}

}  // namespace fpdet::torch_ops
