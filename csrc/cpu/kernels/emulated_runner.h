// SPDX-License-Identifier: MIT
// Work items of the emulated method: a block of rows and a tile of column vectors.
#pragma once

#include "chunks.h"
#include "emulated.h"
#include "emulated_ops.h"
#include "pack.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int64_t kEmulatedVectors = 4;  // of columns in a tile

struct EmulatedSizes {
  int64_t right, stack, columns, terms, numbers, steps, work, keys, elements;

  explicit EmulatedSizes(const Task& task) {
    const auto cols = task.tile_panels * kEmulatedLanes;
    constexpr auto kWord = static_cast<int64_t>(sizeof(int64_t));
    right = aligned(cols * task.chunk * kWord);
    stack = aligned(cols * task.block_rows * task.depth * kWord);
    columns = aligned(cols * PlaceList::kBytesPerEntry);
    terms = aligned(task.chunk * PlaceList::kBytesPerEntry);
    numbers = aligned(task.chunk * kWord);
    steps = aligned(task.chunk * static_cast<int64_t>(sizeof(Step)));
    work = aligned(Packer<double, double>::work_bytes(task.chunk));
    keys = aligned(cols / kDoubleLanes * static_cast<int64_t>(sizeof(PhiloxBlockOf<RandomWord>)));
    elements = aligned(cols * kWord);
  }
  int64_t total() const {
    return right + stack + columns + terms + numbers + steps + work + keys + elements;
  }
};

/// A PlaceWriter that notes the numbers too.
class NumberWriter {
 public:
  NumberWriter(PlaceWriter& places, int64_t* numbers) : places_(places), numbers_(numbers) {}
  void append_range(int64_t first, int64_t count) {
    places_.append_range(first, count);
    for (int64_t i = 0; i < count; ++i) *numbers_++ = first + i;
  }
  void append(int64_t number) {
    places_.append(number);
    *numbers_++ = number;
  }
  void finish() { places_.finish(); }

 private:
  PlaceWriter& places_;
  int64_t* numbers_;
};

/// The operations of one arithmetic, which a loop around them need not be compiled for.
struct EmulatedOperations {
  const void* ops;
  void (*chunk)(const EmulatedArguments&, const void* ops);
  Doubles (*add)(const void* ops, Doubles p, Doubles q, int64_t event, LaneRandom& random);

  template <class Ops>
  explicit EmulatedOperations(const Ops& given)
      : ops(&given),
        chunk([](const EmulatedArguments& a, const void* o) {
          emulated(a, *static_cast<const Ops*>(o));
        }),
        add([](const void* o, Doubles p, Doubles q, int64_t event, LaneRandom& random) {
          return static_cast<const Ops*>(o)->add(p, q, event, random);
        }) {}
};

template <class S>
class EmulatedRunner {
 public:
  EmulatedRunner(const Task& task, const EmulatedOperations& operations, void* scratch)
      : task_(task),
        operations_(operations),
        unsafe_(task.problem.right, task.problem.cols, task.problem.terms),
        combinations_(schedule_of(task).combinations()) {
    const EmulatedSizes sizes(task);
    Carver carver(scratch);
    right_ = carver.take<double>(sizes.right);
    stack_ = carver.take<double>(sizes.stack);
    columns_.place(carver.take(sizes.columns), task.tile_panels * kEmulatedLanes);
    terms_.place(carver.take(sizes.terms), task.chunk);
    numbers_ = carver.take<int64_t>(sizes.numbers);
    steps_ = carver.take<Step>(sizes.steps);
    work_ = carver.take(sizes.work);
    keys_ = carver.take<PhiloxBlockOf<RandomWord>>(sizes.keys);
    elements_ = carver.take<int64_t>(sizes.elements);
  }

  void run(int64_t item) {
    const int64_t tile = item % task_.col_tiles;
    const int64_t block = item / task_.col_tiles % task_.row_blocks;
    group_ = item / task_.col_tiles / task_.row_blocks;
    first_row_ = block * task_.block_rows;
    rows_ = at_most(task_.block_rows, task_.rows - first_row_);
    first_col_ = tile * task_.tile_panels * kEmulatedLanes;
    cols_ = at_most(task_.tile_panels * kEmulatedLanes, task_.cols - first_col_);
    vectors_ = ceil_div(cols_, kEmulatedLanes);
    list_columns();

    const Operand& operand = task_.problem.right;
    Packer<double, S> packer(static_cast<const S*>(task_.right) + group_ * operand.group_offset,
                             operand, unsafe_, work_, task_.chunk);
    if (task_.terms == 0) {
      for (int64_t i = 0; i < rows_ * task_.tile_panels * stack_size(); ++i) stack_[i] = 0.0;
    }
    EmulatedArguments a{};
    a.numbers = numbers_;
    a.steps = steps_;
    a.combination = 2 * task_.terms;
    int64_t done = 0;
    for (Chunks chunks(task_); !chunks.done();) {
      PlaceWriter places(operand.term, Place{}, task_.problem.terms, unsafe_, terms_);
      NumberWriter writer(places, numbers_);
      a.step_count = chunks.next(writer, steps_);
      packer.lists_changed();
      for (int64_t c = 0; c < vectors_ * kEmulatedLanes; c += kLanes<double>) {
        const int n = static_cast<int>(at_least(at_most(cols_ - c, kLanes<double>), 0));
        double* to =
            right_ + c / kEmulatedLanes * terms_.count * kEmulatedLanes + c % kEmulatedLanes;
        if (n > 0) {
          packer.pack(columns_, c, n, kLanes<double>, terms_, to, kEmulatedLanes);
        } else {
          for (int64_t t = 0; t < terms_.count; ++t) {
            store<double>(to + t * kEmulatedLanes, V<double>{});
          }
        }
      }
      for (int64_t r = 0; r < rows_; ++r) {
        a.left = static_cast<const float*>(task_.packed_left) +
                 (group_ * task_.rows + first_row_ + r) * task_.terms + done;
        for (int64_t v = 0; v < vectors_; ++v) {
          a.right = right_ + v * terms_.count * kEmulatedLanes;
          a.stack = stack_of(r, v);
          for (int64_t c = 0; c < kEmulatedChains; ++c) {
            a.random[c] =
                LaneRandom(task_.arithmetic.stochastic, key_of(r, v * kEmulatedChains + c));
          }
          operations_.chunk(a, operations_.ops);
        }
      }
      for (int64_t s = 0; s < a.step_count; ++s) a.combination += steps_[s].folds;
      done += terms_.count;
    }
    finish();
  }

 private:
  int64_t stack_size() const { return task_.depth * kEmulatedLanes; }
  double* stack_of(int64_t r, int64_t v) const {
    return stack_ + (r * task_.tile_panels + v) * stack_size();
  }

  void list_columns() {
    const Operand& operand = task_.problem.right;
    const Output& out = task_.problem.out;
    PlaceWriter writer(operand.outer, operand.origin, task_.problem.cols, unsafe_, columns_);
    writer.append_range(first_col_, cols_);
    writer.finish();
    const PhiloxKeyOf<RandomWord> seed{all_lanes(low_word(task_.seed)),
                                       all_lanes(high_word(task_.seed))};
    for (int64_t v = 0; v < vectors_ * kEmulatedChains; ++v) {
      Words samples{};
      for (int64_t l = 0; l < kDoubleLanes; ++l) {
        const int64_t c = at_most(v * kDoubleLanes + l, cols_ - 1);
        const Digits col = task_.problem.cols.decode(first_col_ + c);
        samples[l] = static_cast<uint32_t>(task_.batch_offset + out.sample(group_, col));
        elements_[v * kDoubleLanes + l] = out.element(group_, Digits{{0, 0, 0, 0}}, col);
      }
      keys_[v] =
          sample_key(seed, all_lanes(low_word(task_.counter)), all_lanes(high_word(task_.counter)),
                     all_lanes(task_.pass), RandomWord{samples});
    }
  }

  /// Of the v-th vector of the tile.
  LaneKey key_of(int64_t r, int64_t v) const {
    const int64_t by_row =
        task_.problem.out.element_row.dot(task_.problem.rows.decode(first_row_ + r));
    const RandomWord low{load_vector<Words>(elements_ + v * kDoubleLanes) +
                         static_cast<uint64_t>(by_row)};
    const PhiloxBlockOf<RandomWord>& k1 = keys_[v];
    return element_key(PhiloxKeyOf<RandomWord>{k1.w0, k1.w1}, k1.w2, k1.w3, low, low >> 32);
  }

  /// Bias and conversion.
  void finish() {
    const Output& out = task_.problem.out;
    S* data = static_cast<S*>(task_.out);
    const Arith arith(task_.arithmetic, true);
    const bool converts = !embeds(task_.arithmetic.format, kFormatOf<S>);
    const int64_t event = 2 * task_.terms + combinations_;
    for (int64_t r = 0; r < rows_; ++r) {
      const int64_t row = first_row_ + r;
      const Digits row_digits = task_.problem.rows.decode(row);
      const double bias = task_.bias == nullptr
                              ? 0.0
                              : widen(static_cast<const S*>(
                                    task_.bias)[(group_ * task_.rows + row) * task_.bias_stride]);
      for (int64_t v = 0; v * kDoubleLanes < cols_; ++v) {
        Doubles sum = load_vector<Doubles>(stack_of(r, v / kEmulatedChains) +
                                           v % kEmulatedChains * kDoubleLanes);
        const LaneKey key = key_of(r, v);
        if (task_.bias != nullptr) {
          LaneRandom random(task_.arithmetic.stochastic, key);
          sum = operations_.add(operations_.ops, sum, broadcast<double>(bias), event, random);
        }
        const int64_t first = v * kDoubleLanes;
        for (int64_t l = 0; l < at_most(kDoubleLanes, cols_ - first); ++l) {
          double x = sum[l];
          if (converts) {
            const auto word = [l](RandomWord words) { return static_cast<uint32_t>(words.v[l]); };
            RandomBits random(
                task_.arithmetic.stochastic,
                {{word(key.key.k0), word(key.key.k1)}, word(key.upper0), word(key.upper1)});
            x = arith.round_to(x, kFormatOf<S>, random, event + 1);
          }
          fpdet::store(x, data[out.offset(group_, row_digits,
                                          task_.problem.cols.decode(first_col_ + first + l))]);
        }
      }
    }
  }

  const Task& task_;
  const EmulatedOperations& operations_;
  UnsafeAxes unsafe_;
  int64_t combinations_;
  double* right_;
  double* stack_;
  PlaceList columns_, terms_;
  int64_t* numbers_;
  Step* steps_;
  char* work_;
  PhiloxBlockOf<RandomWord>* keys_;
  int64_t* elements_;
  int64_t group_ = 0, first_row_ = 0, rows_ = 0, first_col_ = 0, cols_ = 0, vectors_ = 0;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
