// SPDX-License-Identifier: MIT
// Work items of the emulated method: a block of rows and a tile of column vectors.
#pragma once

#include "chunks.h"
#include "conversion.h"
#include "emulated.h"
#include "emulated_ops.h"
#include "pack.h"

namespace fpdet::inline FPDET_TARGET::kernels {

inline constexpr int64_t kLeastPanels = 4, kMostPanels = 16;  // wanted, of kEmulatedLanes columns

struct EmulatedSizes {
  int64_t right, stack, columns, terms, numbers, steps, work, keys, words;

  explicit EmulatedSizes(const Task& task) {
    const auto cols = task.tile_panels * kEmulatedLanes;
    constexpr auto kWord = static_cast<int64_t>(sizeof(int64_t));
    right = aligned(cols * task.chunk * static_cast<int64_t>(sizeof(float)));
    stack = aligned(cols * task.block_rows * task.depth * kWord);
    columns = aligned(cols * PlaceList::kBytesPerEntry);
    terms = aligned(task.chunk * PlaceList::kBytesPerEntry);
    numbers = aligned(task.chunk * kWord);
    steps = aligned(task.chunk * static_cast<int64_t>(sizeof(Step)));
    work = aligned(Packer<float, float>::work_bytes(task.chunk));
    keys =
        aligned(cols / kEmulatedLanes * static_cast<int64_t>(sizeof(PhiloxBlockOf<RandomWords>)));
    words = aligned(cols * kWord);
  }
  int64_t total() const {
    return right + stack + columns + terms + numbers + steps + work + keys + 3 * words;
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
  bool draws;
  void (*chunk)(const EmulatedArguments&, const void* ops);
  Doubles (*add)(const void* ops, Doubles p, Doubles q, int64_t event, LaneRandom& random);

  template <class Ops>
  explicit EmulatedOperations(const Ops& given)
      : ops(&given),
        draws(Ops::kDraws > 0),
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
        convert_({{}, {kFormatOf<S>, task.arithmetic.rounding, task.arithmetic.stochastic}}),
        converts_(!embeds(task.arithmetic.format, kFormatOf<S>)),
        combinations_(schedule_of(task).combinations()),
        sources_{EventSource(task.arithmetic.stochastic), EventSource(task.arithmetic.stochastic)} {
    const EmulatedSizes sizes(task);
    Carver carver(scratch);
    right_ = carver.take<float>(sizes.right);
    stack_ = carver.take<double>(sizes.stack);
    columns_.place(carver.take(sizes.columns), task.tile_panels * kEmulatedLanes);
    terms_.place(carver.take(sizes.terms), task.chunk);
    numbers_ = carver.take<int64_t>(sizes.numbers);
    steps_ = carver.take<Step>(sizes.steps);
    work_ = carver.take(sizes.work);
    keys_ = carver.take<PhiloxBlockOf<RandomWords>>(sizes.keys);
    samples_ = carver.take<int64_t>(sizes.words);
    elements_ = carver.take<int64_t>(sizes.words);
    offsets_ = carver.take<int64_t>(sizes.words);
    a_.numbers = numbers_;
    a_.steps = steps_;
  }

  /// Groups side by side have one list of columns.
  void run(int64_t item) {
    const int64_t group = item % task_.problem.groups;
    const int64_t tile = item / task_.problem.groups % task_.col_tiles;
    const int64_t block = item / task_.problem.groups / task_.col_tiles;
    first_row_ = block * task_.block_rows;
    rows_ = at_most(task_.block_rows, task_.rows - first_row_);
    enter(tile, group);

    const Operand& operand = task_.problem.right;
    Packer<float, S> packer(static_cast<const S*>(task_.right) + group_ * operand.group_offset,
                            operand, unsafe_, work_, task_.chunk);
    if (task_.terms == 0) {
      for (int64_t i = 0; i < rows_ * task_.tile_panels * stack_size(); ++i) stack_[i] = 0.0;
    }
    a_.combination = 2 * task_.terms;
    done_ = 0;
    if (whole_) {
      add_chunk(packer);
    } else {
      for (Chunks chunks(task_); !chunks.done();) {
        PlaceWriter places(operand.term, Place{}, task_.problem.terms, unsafe_, terms_);
        NumberWriter writer(places, numbers_);
        a_.step_count = chunks.next(writer, steps_);
        whole_ = done_ == 0 && chunks.done();
        packer.lists_changed();
        add_chunk(packer);
      }
    }
    finish();
  }

 private:
  static constexpr Digits kNone{{0, 0, 0, 0}};

  int64_t stack_size() const { return task_.depth * kEmulatedLanes; }
  double* stack_of(int64_t r, int64_t v) const {
    return stack_ + (r * task_.tile_panels + v) * stack_size();
  }

  void enter(int64_t tile, int64_t group) {
    const Output& out = task_.problem.out;
    const int64_t sample = out.sample(group, kNone);
    const bool new_tile = tile != tile_, new_keys = new_tile || sample != sample_;
    tile_ = tile;
    group_ = group;
    sample_ = sample;
    if (new_tile) list_columns();
    if (new_keys && operations_.draws) list_keys();
  }

  /// Their places, and what they add to an output's sample, element and offset. Beyond the last one
  /// it is repeated.
  void list_columns() {
    const int64_t first = tile_ * task_.tile_panels * kEmulatedLanes;
    cols_ = at_most(task_.tile_panels * kEmulatedLanes, task_.cols - first);
    vectors_ = ceil_div(cols_, kEmulatedLanes);
    const Operand& operand = task_.problem.right;
    const Output& out = task_.problem.out;
    const Digits& radix = task_.problem.cols;
    PlaceWriter writer(operand.outer, operand.origin, radix, unsafe_, columns_);
    writer.append_range(first, cols_);
    writer.finish();
    Digits col = radix.decode(first);
    for (int64_t c = 0; c < vectors_ * kEmulatedLanes; ++c) {
      samples_[c] = out.sample_col.dot(col);
      elements_[c] = out.element_col.dot(col);
      offsets_[c] = out.col.dot(col);
      if (c + 1 < cols_) radix.advance(col);
    }
  }

  void list_keys() {
    const PhiloxKeyOf<RandomWords> seed{spread<RandomWords>(low_word(task_.seed)),
                                        spread<RandomWords>(high_word(task_.seed))};
    const RandomWords low = spread<RandomWords>(low_word(task_.counter)),
                      high = spread<RandomWords>(high_word(task_.counter)),
                      pass = spread<RandomWords>(task_.pass);
    RandomWords before{};
    for (int64_t v = 0; v < vectors_; ++v) {
      const RandomWords samples =
          words_of(samples_, v, static_cast<uint64_t>(task_.batch_offset + sample_));
      const bool same = v > 0 && !any((samples ^ before).a.v | (samples ^ before).b.v);
      keys_[v] = same ? keys_[v - 1] : sample_key(seed, low, high, pass, samples);
      before = samples;
    }
  }

  /// The v-th ones of a list, each with something added.
  static RandomWords words_of(const int64_t* list, int64_t v, uint64_t added) {
    const int64_t* p = list + v * kEmulatedLanes;
    return {{load_vector<Words>(p) + added}, {load_vector<Words>(p + kDoubleLanes) + added}};
  }

  Digits row_digits(int64_t r) const { return task_.problem.rows.decode(first_row_ + r); }

  /// Of row r, column 0.
  uint64_t first_element(int64_t r) const {
    return static_cast<uint64_t>(task_.problem.out.element(group_, row_digits(r), kNone));
  }

  /// Row r and vector v of the tile.
  EmulatedUnit unit(int64_t r, int64_t v, EventSource& source) const {
    const int64_t row = group_ * task_.rows + first_row_ + r;
    return {static_cast<const double*>(task_.packed_left) + row * task_.terms + done_,
            right_ + v * terms_.count * kEmulatedLanes, stack_of(r, v), &source};
  }
  /// Vector v in the row whose first element this is.
  void enter_unit(uint64_t element, int64_t v, EventSource& source) const {
    const RandomWords low = words_of(elements_, v, element);
    const PhiloxBlockOf<RandomWords>& k1 = keys_[v];
    source.move_to(
        element_key(PhiloxKeyOf<RandomWords>{k1.w0, k1.w1}, k1.w2, k1.w3, low, low >> 32));
  }

  /// Bias and conversion.
  void finish() {
    const Output& out = task_.problem.out;
    const S* bias = static_cast<const S*>(task_.bias);
    for (int64_t r = 0; r < rows_; ++r) {
      const int64_t row = group_ * task_.rows + first_row_ + r;
      S* to = static_cast<S*>(task_.out) + out.offset(group_, row_digits(r), kNone);
      for (int64_t v = 0; v < vectors_; ++v) {
        EmulatedSums sums = load_sums(stack_of(r, v));
        if (bias != nullptr || converts_) {
          if (operations_.draws) enter_unit(first_element(r), v, sources_[0]);
          const double b = bias == nullptr ? 0.0 : widen(bias[row * task_.bias_stride]);
          sums.a = finished(sums.a, b, sources_[0].a);
          sums.b = finished(sums.b, b, sources_[0].b);
        }
        store(to, v * kEmulatedLanes, sums.a);
        store(to, v * kEmulatedLanes + kDoubleLanes, sums.b);
      }
    }
  }
  Doubles finished(Doubles sum, double bias, LaneRandom& random) const {
    const int64_t event = 2 * task_.terms + combinations_;
    if (task_.bias != nullptr) {
      sum = operations_.add(operations_.ops, sum, broadcast<double>(bias), event, random);
    }
    if (!converts_) return sum;
    return convert_(sum, operations_.draws ? random.at(event + 1).v : Words{});
  }

  /// The listed terms, to all sums of the item.
  void add_chunk(Packer<float, S>& packer) {
    for (int64_t c = 0; c < cols_; c += kEmulatedLanes) {
      const int n = static_cast<int>(at_most(cols_ - c, kEmulatedLanes));
      float* to = right_ + c * terms_.count;
      packer.pack(columns_, c, n, kEmulatedLanes, terms_, to, kEmulatedLanes);
      if (n < kEmulatedLanes) repeat_first(to, n);
    }
    int64_t r = 0, v = 0;
    uint64_t element = first_element(0);
    for (int64_t left = rows_ * vectors_; left > 0; left -= kEmulatedUnits) {
      a_.count = static_cast<int>(at_most(left, kEmulatedUnits));
      for (int u = 0; u < a_.count; ++u) {
        if (operations_.draws) enter_unit(element, v, sources_[u]);
        a_.units[u] = unit(r, v, sources_[u]);
        if (++v < vectors_) continue;
        v = 0;
        if (++r < rows_) element = first_element(r);
      }
      for (int u = a_.count; u < kEmulatedUnits; ++u) a_.units[u] = a_.units[0];
      operations_.chunk(a_, operations_.ops);
    }
    for (int64_t s = 0; s < a_.step_count; ++s) a_.combination += steps_[s].folds;
    done_ += terms_.count;
  }

  /// Lanes from n on do as the first: sums of zeros would be in doubt.
  void repeat_first(float* right, int n) const {
    for (int64_t t = 0; t < terms_.count; ++t, right += kEmulatedLanes) {
      for (int l = n; l < kEmulatedLanes; ++l) right[l] = right[0];
    }
  }

  /// Outputs of the columns from number `first` on.
  void store(S* row, int64_t first, Doubles outputs) const {
    Words neighbours{};
    for (int l = 0; l < kDoubleLanes; ++l) neighbours[l] = static_cast<uint64_t>(l);
    const int64_t n = at_most(cols_ - first, kDoubleLanes);
    if (n <= 0) return;
    const int64_t* offset = offsets_ + first;
    const auto begin = static_cast<uint64_t>(offset[0]);
    const bool apart = any((load_vector<Words>(offset) - begin) ^ neighbours);
    S members[kDoubleLanes];
    put_doubles(apart ? members : row + offset[0], outputs);
    for (int64_t l = 0; l < n && apart; ++l) row[offset[l]] = members[l];
  }

  const Task& task_;
  const EmulatedOperations& operations_;
  UnsafeAxes unsafe_;
  Converter<double> convert_;
  bool converts_;
  int64_t combinations_;
  float* right_;
  double* stack_;
  PlaceList columns_, terms_;
  int64_t* numbers_;
  Step* steps_;
  char* work_;
  PhiloxBlockOf<RandomWords>* keys_;  ///< of samples, [vector]
  EventSource sources_[kEmulatedUnits];
  int64_t *samples_, *elements_, *offsets_;  ///< [column]
  EmulatedArguments a_{};
  bool whole_ = false;  ///< all terms are listed
  int64_t done_ = 0;    ///< terms before those listed
  int64_t tile_ = -1, group_ = 0, sample_ = 0;
  int64_t first_row_ = 0, rows_ = 0, cols_ = 0, vectors_ = 0;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
