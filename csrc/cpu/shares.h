// SPDX-License-Identifier: MIT
// A range shared among threads of unequal speed. Each has a part of its own, which it goes through
// from the front: neighbours stay on one thread. Who is done takes the back half of what another
// has left. The pieces of a part shrink with it, so that little is under way when others run dry.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "pieces.h"

namespace fpdet::cpu {

class Shares {
 public:
  /// Pieces of at least `grain` items, where so many are left, and at most `most`.
  Shares(int64_t count, int64_t threads, int64_t grain, int64_t most)
      : threads_(threads),
        grain_(std::max<int64_t>(1, grain)),
        most_(std::max<int64_t>(1, most)),
        parts_(std::make_unique<Part[]>(static_cast<size_t>(threads))) {
    for (int64_t i = 0; i < threads; ++i) {
      part(i).begin = first_of(count, i);
      part(i).end = first_of(count, i + 1);
    }
  }

  /// Ends the loop: what is under way is finished, nothing more is handed out.
  void stop() { stopped_ = true; }
  bool stopped() const { return stopped_; }

  /// As Pieces::next (pieces.h), for thread 0, 1, ...
  bool next(int64_t thread, int64_t& begin, int64_t& end) {
    do {
      if (stopped_) return false;
      if (take(part(thread), begin, end)) return true;
    } while (move_half_to(thread));
    return false;
  }

 private:
  struct alignas(64) Part {
    std::mutex mutex;
    int64_t begin = 0, end = 0;
  };
  static constexpr int64_t kPieces = 4;  // of what a part has left

  Part& part(int64_t thread) { return parts_[static_cast<size_t>(thread)]; }

  /// Where a part begins: as even as can be, without count * threads.
  int64_t first_of(int64_t count, int64_t thread) const {
    return count / threads_ * thread + std::min(thread, count % threads_);
  }

  bool take(Part& own, int64_t& begin, int64_t& end) const {
    const std::lock_guard lock(own.mutex);
    const int64_t left = own.end - own.begin;
    if (left == 0) return false;
    const int64_t share = (left / kPieces + grain_ - 1) / grain_ * grain_;
    begin = own.begin;
    own.begin = end = begin + std::min({left, std::max(share, grain_), most_});
    return true;
  }

  bool move_half_to(int64_t thread) {
    for (int64_t i = 1; i < threads_; ++i) {
      Part& other = part((thread + i) % threads_);
      Part& own = part(thread);
      const std::scoped_lock lock(other.mutex, own.mutex);
      const int64_t left = other.end - other.begin;
      if (left == 0) continue;
      own.end = other.end;
      other.end = own.begin = other.begin + left / 2 / grain_ * grain_;
      return true;
    }
    return false;
  }

  int64_t threads_, grain_, most_;
  std::unique_ptr<Part[]> parts_;
  std::atomic<bool> stopped_{false};
};

/// What one of the threads is given.
class SharedPieces final : public Pieces {
 public:
  SharedPieces(Shares& shares, int64_t thread) : shares_(shares), thread_(thread) {}
  bool next(int64_t& begin, int64_t& end) override { return shares_.next(thread_, begin, end); }

 private:
  Shares& shares_;
  int64_t thread_;
};

}  // namespace fpdet::cpu
