// SPDX-License-Identifier: MIT
// How a loop's range is shared among threads (cpu/shares.h): whoever asks, in whatever sequence,
// every item is handed out exactly once, in pieces of the sizes asked for.
// Prints digests of the pieces that threads get which ask in a fixed sequence.
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "cpu/shares.h"
#include "digest.h"

namespace {

using namespace fpdet;
using namespace native;

struct Piece {
  int64_t thread, begin, end;
};

bool each_item_once(int64_t count, const std::vector<Piece>& pieces) {
  std::vector<int> met(static_cast<size_t>(count));
  for (const Piece& piece : pieces) {
    if (piece.begin < 0 || piece.begin >= piece.end || piece.end > count) return false;
    for (int64_t i = piece.begin; i < piece.end; ++i) ++met[static_cast<size_t>(i)];
  }
  for (const int times : met) {
    if (times != 1) return false;
  }
  return true;
}

struct Setting {
  int64_t count, threads, grain, most;
  std::string name() const {
    return std::to_string(count) + "_on_" + std::to_string(threads) + "_by_" +
           std::to_string(grain) + "_to_" + std::to_string(most);
  }
};

/// Threads 0 to `asking` - 1 take turns as `random` says; the others never come.
std::vector<Piece> ask(const Setting& s, int64_t asking, Generator& random) {
  cpu::Shares shares(s.count, s.threads, s.grain, s.most);
  std::vector<Piece> pieces;
  std::vector<bool> done(static_cast<size_t>(asking));
  for (int64_t left = asking; left > 0;) {
    // The last comes twice as often as the others.
    const int64_t thread = asking - 1 - random.below(asking + 1) % asking;
    const auto at = static_cast<size_t>(thread);
    if (done[at]) continue;
    Piece piece{thread, 0, 0};
    if (shares.next(piece.thread, piece.begin, piece.end)) {
      pieces.push_back(piece);
    } else {
      done[at] = true;
      --left;
    }
  }
  return pieces;
}

void check(const Setting& s, Failures& failures) {
  Generator random(11);
  Digest digest;
  for (int64_t asking = 1; asking <= s.threads; ++asking) {
    const std::vector<Piece> pieces = ask(s, asking, random);
    failures.expect(each_item_once(s.count, pieces), "each item once: " + s.name());
    int64_t small = 0;
    for (const Piece& piece : pieces) {
      digest.add(static_cast<double>(piece.thread));
      digest.add(static_cast<double>(piece.begin));
      digest.add(static_cast<double>(piece.end));
      failures.expect(piece.end - piece.begin <= s.most, "not more than most: " + s.name());
      small += piece.end - piece.begin < s.grain;
    }
    // Only a part's last piece may be smaller.
    if (s.most >= s.grain) failures.expect(small <= s.threads, "grain: " + s.name());
  }
  digest.print("shares/" + s.name());
}

/// Threads for which the items are of unequal length.
void check_threads(const Setting& s, Failures& failures) {
  cpu::Shares shares(s.count, s.threads, s.grain, s.most);
  std::vector<std::vector<Piece>> of_thread(static_cast<size_t>(s.threads));
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < s.threads; ++i) {
    threads.emplace_back([&, i] {
      Piece piece{i, 0, 0};
      while (shares.next(i, piece.begin, piece.end)) {
        of_thread[static_cast<size_t>(i)].push_back(piece);
        std::this_thread::sleep_for(std::chrono::microseconds(20 * i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<Piece> pieces;
  for (const auto& own : of_thread) pieces.insert(pieces.end(), own.begin(), own.end());
  failures.expect(each_item_once(s.count, pieces), "each item once, on threads: " + s.name());
}

void check_stop(Failures& failures) {
  cpu::Shares shares(100, 2, 1, 100);
  int64_t begin = 0, end = 0;
  failures.expect(shares.next(0, begin, end) && !shares.stopped(), "a piece before stop");
  shares.stop();
  failures.expect(shares.stopped(), "stopped");
  for (const int64_t thread : {0, 1}) {
    failures.expect(!shares.next(thread, begin, end), "no piece after stop");
  }
}

/// The check itself sees a lost piece, a doubled one, and one beyond the end.
void control(Failures& failures) {
  const std::vector<Piece> good{{0, 0, 3}, {1, 3, 5}};
  failures.expect(each_item_once(5, good), "control: good");
  for (const Piece& bad : {Piece{1, 4, 5}, Piece{1, 2, 5}, Piece{1, 3, 6}}) {
    failures.expect(!each_item_once(5, {good[0], bad}), "control: bad");
  }
}

}  // namespace

int main() {
  Failures failures;
  const Setting settings[] = {{1, 1, 1, 1},     {1, 4, 1, 1},      {7, 3, 1, 7},
                              {8, 2, 3, 8},     {64, 2, 1, 64},    {100, 4, 7, 100},
                              {1000, 3, 16, 5}, {4099, 5, 64, 512}};
  for (const Setting& setting : settings) {
    check(setting, failures);
    check_threads(setting, failures);
  }
  check_stop(failures);
  control(failures);
  return failures.status();
}
