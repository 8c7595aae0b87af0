// SPDX-License-Identifier: MIT
// Loops (cpu/parallel.h) as the programs here run them: on one thread in pieces of several kinds,
// and on three.
#pragma once

#include <algorithm>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

#include "cpu/parallel.h"
#include "cpu/shares.h"

namespace native {

using Body = std::function<void(fpdet::cpu::Pieces&)>;

inline void serial(int64_t count, int64_t, const Body& body) {
  fpdet::cpu::WholeRange all(count);
  body(all);
}

/// Pieces of `Size` items, one after the other.
template <int64_t Size>
void in_pieces(int64_t count, int64_t, const Body& body) {
  class Cut final : public fpdet::cpu::Pieces {
   public:
    explicit Cut(int64_t count) : count_(count) {}
    bool next(int64_t& begin, int64_t& end) override {
      begin = at_;
      at_ = end = std::min(count_, at_ + Size);
      return begin < end;
    }

   private:
    int64_t count_, at_ = 0;
  } pieces(count);
  body(pieces);
}

/// Item by item, the last first, every other one: a thread may get any items in any sequence.
inline void scattered(int64_t count, int64_t, const Body& body) {
  class Scattered final : public fpdet::cpu::Pieces {
   public:
    explicit Scattered(int64_t count) : count_(count) {}
    bool next(int64_t& begin, int64_t& end) override {
      const int64_t odd = (count_ + 1) / 2;
      begin = count_ - 1 - (done_ < odd ? 2 * done_ : 2 * (done_ - odd) + 1);
      end = begin + 1;
      return done_++ < count_;
    }

   private:
    int64_t count_, done_ = 0;
  } pieces(count);
  body(pieces);
}

/// Three threads that share the items as torch's pool does.
inline void three_threads(int64_t count, int64_t grain, const Body& body) {
  fpdet::cpu::Shares shares(count, 3, grain, count);
  std::vector<std::thread> threads;
  std::exception_ptr errors[3];
  for (int64_t i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      try {
        fpdet::cpu::SharedPieces pieces(shares, i);
        body(pieces);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace native
