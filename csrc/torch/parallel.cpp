// SPDX-License-Identifier: MIT
#include "parallel.h"

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <exception>
#include <mutex>
#include <stdexcept>

#include "../cpu/shares.h"

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

/// One thread's pieces of shared work: none after an interrupt, while one is watched for.
class WatchedPieces final : public cpu::Pieces {
 public:
  WatchedPieces(cpu::Shares& shares, int64_t thread, const InterruptWatch* watch)
      : shares_(shares), own_(shares, thread), watch_(watch) {}
  bool next(int64_t& begin, int64_t& end) override {
    if (watch_ != nullptr && watch_->raised()) shares_.stop();
    return own_.next(begin, end);
  }

 private:
  cpu::Shares& shares_;
  cpu::SharedPieces own_;
  const InterruptWatch* watch_;
};

/// body on threads of torch's pool, in pieces of at most `most` items.
void share(int64_t count, int64_t grain, int64_t most, const InterruptWatch* watch,
           const std::function<void(cpu::Pieces&)>& body) {
  if (count <= 0) return;
  grain = std::max<int64_t>(1, grain);
  const int64_t useful = (count - 1) / grain + 1;
  const auto threads = std::min<int64_t>(useful, torch::stable::get_num_threads());
  cpu::Shares shares(count, threads, grain, most);
  // The pool's C interface would reduce an exception to an error code: carry it around.
  std::mutex mutex;
  std::exception_ptr first;
  // A thread that is given several numbers (inside another loop) takes the others' parts as well.
  torch::stable::parallel_for(0, threads, 1, [&](int64_t thread, int64_t) {
    try {
      WatchedPieces pieces(shares, thread, watch);
      body(pieces);
    } catch (...) {
      shares.stop();
      const std::lock_guard lock(mutex);
      if (!first) first = std::current_exception();
    }
  });
  if (first) std::rethrow_exception(first);
  if (shares.stopped()) throw std::runtime_error(kInterrupted);
}

}  // namespace

void parallel_for(int64_t count, int64_t grain, const std::function<void(cpu::Pieces&)>& body) {
  share(count, grain, count, nullptr, body);
}

void interruptible_parallel_for(double seconds_per_item, int64_t count, int64_t grain,
                                const std::function<void(cpu::Pieces&)>& body) {
  constexpr double kPieceSeconds = 0.2;
  const double items = std::clamp(kPieceSeconds / seconds_per_item, 1.0, 1e15);
  const auto most = static_cast<int64_t>(items);
  if (count <= most) return parallel_for(count, grain, body);
  const InterruptWatch watch;
  share(count, grain, most, &watch, body);
}

}  // namespace fpdet::torch_ops
