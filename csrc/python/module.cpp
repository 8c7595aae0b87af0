// SPDX-License-Identifier: MIT
// fpdet._core: the arithmetic of csrc/core over NumPy arrays, without torch.
//
// Arrays arrive contiguous and broadcast (fpdet/core.py sees to that) in float64, float32 or
// float16; they are walked in chunks of doubles, each chunk under an EnvironmentGuard, without the
// GIL.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "../calls/random_of.h"
#include "../core/arith.h"
#include "../core/canary.h"
#include "../core/environment.h"
#include "../core/exact.h"
#include "../core/functions.h"
#include "../core/permutation.h"
#include "../core/reduce.h"
#include "../core/unary.h"
#include "../core/words.h"

namespace py = pybind11;

namespace {

using namespace fpdet;

#define FPDET_NOINLINE __attribute__((noinline))
#define FPDET_STRING_OF(x) #x
#define FPDET_STRING(x) FPDET_STRING_OF(x)

constexpr int64_t kChunk = 4096;

// Read access to a contiguous array of one of three element types, as doubles.
class Source {
 public:
  Source(const py::array& array, const char* name) : data_(static_cast<const char*>(array.data())) {
    const py::dtype dtype = array.dtype();
    item_ = static_cast<int>(dtype.itemsize());
    if (dtype.kind() != 'f' || (item_ != 2 && item_ != 4 && item_ != 8)) {
      throw py::type_error(std::string(name) + ": expected float64, float32 or float16, got " +
                           py::str(dtype).cast<std::string>());
    }
    if ((array.flags() & py::array::c_style) == 0) {
      throw py::value_error(std::string(name) + ": expected a C-contiguous array");
    }
    size_ = array.size();
  }

  int64_t size() const { return size_; }
  bool fits(const Format& format) const { return embeds(own_format(), format); }
  const Format& own_format() const {
    return item_ == 8 ? kFloat64 : item_ == 4 ? kFloat32 : kFloat16;
  }

  void load(int64_t first, int64_t count, double* out) const {
    const char* from = data_ + first * item_;
    if (item_ == 8) {
      std::memcpy(out, from, static_cast<size_t>(count) * 8);
    } else if (item_ == 4) {
      const float* values = reinterpret_cast<const float*>(from);
      for (int64_t i = 0; i < count; ++i) out[i] = values[i];
    } else {
      const uint16_t* values = reinterpret_cast<const uint16_t*>(from);
      for (int64_t i = 0; i < count; ++i) out[i] = float16_to_double(values[i]);
    }
  }

  double at(int64_t index) const {
    double value = 0.0;
    load(index, 1, &value);
    return value;
  }

 private:
  const char* data_;
  int item_;
  int64_t size_;
};

// Write access; every value is a member of the array's type.
class Sink {
 public:
  explicit Sink(py::array& array)
      : data_(static_cast<char*>(array.mutable_data())),
        item_(static_cast<int>(array.dtype().itemsize())) {}

  void store(int64_t first, int64_t count, const double* values) const {
    char* to = data_ + first * item_;
    if (item_ == 8) {
      std::memcpy(to, values, static_cast<size_t>(count) * 8);
    } else if (item_ == 4) {
      float* out = reinterpret_cast<float*>(to);
      for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(values[i]);
    } else {
      uint16_t* out = reinterpret_cast<uint16_t*>(to);
      for (int64_t i = 0; i < count; ++i) out[i] = double_to_float16(values[i]);
    }
  }

 private:
  char* data_;
  int item_;
};

// Where the random bits of a call come from: the stream and the place of element 0.
struct Place {
  uint64_t counter = 0;
  uint32_t pass = 0;
  int64_t batch_offset = 0;
  int64_t sample_size = 1;  // elements per sample

  ElementKey key(uint64_t seed, int64_t index) const {
    return element_key(seed, counter, pass,
                       static_cast<uint32_t>(batch_offset + index / sample_size),
                       static_cast<uint64_t>(index % sample_size));
  }
  // Of an output element that is a reduction.
  RandomBits bits(const StochasticSpec& spec, Rounding rounding, int64_t index) const {
    if (rounding != Rounding::Stochastic || spec.keyed_by_operands) return RandomBits();
    return RandomBits(spec, key(spec.seed, index));
  }
  // Of the elements of an elementwise op.
  ElementwiseSource elementwise(const Arithmetic& a) const {
    return source_of(a.stochastic, a.rounding, Draw{a.stochastic.seed, counter, pass, batch_offset},
                     sample_size);
  }
};

// Of so many random bits; refuses numbers that there are not.
StochasticSpec spec_of(int bits) {
  if (bits < 1 || bits > 32) {
    throw std::invalid_argument("bits: expected an integer from 1 to 32, got " +
                                std::to_string(bits));
  }
  StochasticSpec spec;
  spec.bits = bits;
  return spec;
}

enum class Elementwise { Round, Add, Mul, Fma, Div };

Elementwise parse_operation(const std::string& word) {
  if (word == "round") return Elementwise::Round;
  if (word == "add") return Elementwise::Add;
  if (word == "mul") return Elementwise::Mul;
  if (word == "fma") return Elementwise::Fma;
  if (word == "div") return Elementwise::Div;
  throw std::invalid_argument("operation: expected round, add, mul, fma or div, got '" + word +
                              "'");
}

FPDET_NOINLINE void elementwise_chunk(Elementwise operation, const Arith& arith, const Place& place,
                                      const std::vector<Source>& inputs, const Sink& sink,
                                      int64_t first, int64_t count) {
  double operand[3][kChunk];
  double result[kChunk];
  for (size_t k = 0; k < inputs.size(); ++k) inputs[k].load(first, count, operand[k]);
  const Arithmetic& a = arith.arithmetic();
  const ElementwiseSource source = place.elementwise(a);
  for (int64_t i = 0; i < count; ++i) {
    ElementwiseBits random = source.of(first + i);
    const double x = operand[0][i];
    switch (operation) {
      case Elementwise::Round:
        result[i] = arith.round_to(x, a.format, random, 0);
        break;
      case Elementwise::Add:
        result[i] = arith.add(x, operand[1][i], random, 0);
        break;
      case Elementwise::Mul:
        result[i] = arith.mul(x, operand[1][i], random, 0);
        break;
      case Elementwise::Fma:
        result[i] = arith.fma(x, operand[1][i], operand[2][i], random, 0);
        break;
      case Elementwise::Div:
        result[i] = arith.div(x, operand[1][i], random, 0);
        break;
    }
  }
  sink.store(first, count, result);
}

void elementwise(const std::string& operation_word, const std::vector<py::array>& arrays,
                 py::array out, const std::string& format_word, const std::string& rounding_words,
                 uint64_t counter, uint32_t pass, int64_t batch_offset, int64_t sample_size,
                 bool hardware) {
  const Elementwise operation = parse_operation(operation_word);
  const ParsedRounding rounding = parse_rounding(rounding_words);
  const Format format = parse_format(format_word);
  std::vector<Source> inputs;
  bool operands_fit = true;
  for (const py::array& array : arrays) {
    inputs.emplace_back(array, operation_word.c_str());
    operands_fit = operands_fit && inputs.back().fits(format);
    if (inputs.back().size() != out.size()) {
      throw py::value_error(operation_word + ": expected arrays of one size");
    }
  }
  const size_t expected = operation == Elementwise::Round ? 1
                          : operation == Elementwise::Fma ? 3
                                                          : 2;
  if (inputs.size() != expected) {
    throw py::value_error(operation_word + ": expected " + std::to_string(expected) +
                          " arrays, got " + std::to_string(inputs.size()));
  }
  if (!embeds(format, Source(out, "out").own_format())) {
    throw py::value_error("out: expected a type that holds every " + format_word);
  }
  const Arith arith(Arithmetic{rounding.rounding, format, true, rounding.stochastic},
                    operands_fit && hardware);
  const Place place{counter, pass, batch_offset, std::max<int64_t>(sample_size, 1)};
  const Sink sink(out);
  const int64_t size = out.size();
  const py::gil_scoped_release unlocked;
  const EnvironmentGuard guard(rounding.rounding);
  for (int64_t first = 0; first < size; first += kChunk) {
    elementwise_chunk(operation, arith, place, inputs, sink, first, std::min(kChunk, size - first));
  }
}

Function parse_function(const std::string& text) {
  std::string known;
#define FPDET_ROW(enumerator, word, stem, code)  \
  if (text == word) return Function::enumerator; \
  known += known.empty() ? word : std::string(", ") + word;
  FPDET_FUNCTIONS(FPDET_ROW)
#undef FPDET_ROW
  throw std::invalid_argument("function: expected one of " + known + "; got '" + text + "'");
}

// Operand and format inside float32, or an algebraic function.
void check_function(Function f, const std::string& word, const Source& x, const Format& format) {
  if (is_algebraic(f) || (x.fits(kFloat32) && embeds(format, kFloat32))) return;
  throw py::type_error(word + ": expected float32 or float16 and a format inside float32, got " +
                       to_string(x.own_format()) + " and " + to_string(format));
}

template <Function F>
FPDET_NOINLINE void function_chunk(const Arith& arith, const Place& place, const Source& source,
                                   const Sink& sink, int64_t first, int64_t count) {
  double operand[kChunk];
  double result[kChunk];
  source.load(first, count, operand);
  const ElementwiseSource bits = place.elementwise(arith.arithmetic());
  for (int64_t i = 0; i < count; ++i) {
    ElementwiseBits random = bits.of(first + i);
    result[i] = rounded_element<F>(operand[i], arith, random);
  }
  sink.store(first, count, result);
}

void function(const std::string& word, const py::array& x, py::array out,
              const std::string& format_word, const std::string& rounding_words, uint64_t counter,
              uint32_t pass, int64_t batch_offset, int64_t sample_size) {
  const Function f = parse_function(word);
  const ParsedRounding rounding = parse_rounding(rounding_words);
  const Format format = parse_format(format_word);
  const Source source(x, word.c_str());
  check_function(f, word, source, format);
  if (source.size() != out.size()) throw py::value_error(word + ": expected arrays of one size");
  if (!embeds(format, Source(out, "out").own_format())) {
    throw py::value_error("out: expected a type that holds every " + format_word);
  }
  const Arith arith(Arithmetic{rounding.rounding, format, true, rounding.stochastic}, false);
  const Place place{counter, pass, batch_offset, std::max<int64_t>(sample_size, 1)};
  const Sink sink(out);
  const int64_t size = out.size();
  const py::gil_scoped_release unlocked;
  const EnvironmentGuard guard(Rounding::NearestEven);
  with_function(f, [&]<Function F>() {
    for (int64_t first = 0; first < size; first += kChunk) {
      function_chunk<F>(arith, place, source, sink, first, std::min(kChunk, size - first));
    }
  });
}

// What evaluate() knows of f(x): a number, or (negative, exponent, significand of 128 bits, the
// last of them jammed) and whether its test succeeded.
py::object function_digits(const std::string& word, double x) {
  const Function f = parse_function(word);
  FunctionValue value{};
  bool succeeded = true;
  {
    const EnvironmentGuard guard(Rounding::NearestEven);
    with_function(f, [&]<Function F>() {
      value = evaluate<F>(x);
      if constexpr (!is_algebraic(F)) {
        if (value.is_number) return;
        const Enclosure known = enclosure<F>(x);
        succeeded = certain(cut(known), known);
      }
    });
  }
  if (value.is_number) return py::float_(value.number);
  const py::int_ high(static_cast<uint64_t>(value.digits.significand >> 64));
  const py::int_ low(static_cast<uint64_t>(value.digits.significand));
  return py::make_tuple(value.digits.negative, value.digits.exponent, (high << py::int_(64)) | low,
                        succeeded);
}

// The terms of one row, for core's reduce().
class RowCursor {
 public:
  RowCursor(const Source& left, const Source& right, int64_t first)
      : left_(left), right_(right), first_(first) {}

  void seek(int64_t term) { term_ = term; }
  void advance() { ++term_; }
  double left() const { return left_.at(first_ + term_); }
  double right() const { return right_.at(first_ + term_); }

 private:
  const Source& left_;
  const Source& right_;
  int64_t first_;
  int64_t term_ = 0;
};

FPDET_NOINLINE void reduce_rows(const std::vector<Source>& inputs, const Sink& sink, int64_t rows,
                                int64_t terms, const Order& order, const Arith& arith,
                                const Place& place) {
  const Arithmetic& a = arith.arithmetic();
  ExactSum scratch;
  Permutation permutation(order, terms, place.counter);
  for (int64_t row = 0; row < rows; ++row) {
    RandomBits random = place.bits(a.stochastic, a.rounding, row);
    if (order.vary == Vary::Element) {
      permutation = Permutation(order, terms, place.counter, place.key(order.seed, row));
    }
    const Schedule schedule(order, terms, permutation.data());
    RowCursor cursor(inputs.front(), inputs.back(), row * terms);
    const double result =
        inputs.size() == 2
            ? reduce<true>(order, schedule, arith, cursor, random, nullptr, a.format, scratch)
            : reduce<false>(order, schedule, arith, cursor, random, nullptr, a.format, scratch);
    sink.store(row, 1, &result);
  }
}

// Sums (or dot products, if there are two arrays) of out.size() rows of `terms` terms. `format` is
// the accumulator's and the result's; under exact, the result's.
void reduce_arrays(const std::vector<py::array>& arrays, py::array out, int64_t terms,
                   const std::string& order_word, const std::string& format_word,
                   const std::string& rounding_words, bool fused, uint64_t counter, uint32_t pass,
                   int64_t batch_offset, int64_t sample_size, bool hardware) {
  const ParsedRounding rounding = parse_rounding(rounding_words);
  const Order order = parse_order(order_word);
  const Format format = parse_format(format_word);
  std::vector<Source> inputs;
  bool operands_fit = true;
  for (const py::array& array : arrays) {
    inputs.emplace_back(array, "terms");
    operands_fit = operands_fit && inputs.back().fits(format);
    if (inputs.back().size() != out.size() * terms) {
      throw py::value_error("terms: expected arrays of rows * terms elements");
    }
  }
  if (inputs.empty() || inputs.size() > 2)
    throw py::value_error("terms: expected one or two arrays");
  if (terms > int64_t{1} << 31) {
    throw py::value_error("terms: expected at most 2^31 in one sum, got " + std::to_string(terms));
  }
  if (!embeds(format, Source(out, "out").own_format())) {
    throw py::value_error("out: expected a type that holds every " + format_word);
  }
  const Arith arith(Arithmetic{rounding.rounding, format, fused, rounding.stochastic},
                    operands_fit && hardware);
  const Place place{counter, pass, batch_offset, std::max<int64_t>(sample_size, 1)};
  const Sink sink(out);
  const int64_t rows = out.size();
  const py::gil_scoped_release unlocked;
  const EnvironmentGuard guard(rounding.rounding);
  reduce_rows(inputs, sink, rows, terms, order, arith, place);
}

// Nested pairs of term indices; a lone term is its index, no term is ().
py::object tree(const std::string& order_word, int64_t terms, uint64_t counter, uint32_t pass,
                uint32_t n, uint64_t element) {
  const Order order = parse_order(order_word);
  if (!order.is_tree()) {
    throw std::invalid_argument("order: expected an order that is a tree, got '" + order_word +
                                "'");
  }
  if (terms < 0 || terms > int64_t{1} << 31) {
    throw std::invalid_argument("n: expected 0 to 2^31 terms, got " + std::to_string(terms));
  }
  if (terms == 0) return py::tuple(0);
  const Permutation permutation(order, terms, counter,
                                element_key(order.seed, counter, pass, n, element));
  const Schedule schedule(order, terms, permutation.data());
  return fold_schedule<py::object>(
      schedule,
      [&](const Run& run) {
        py::object sum = py::int_(schedule.term(run.first));
        for (int64_t i = 1; i < run.count; ++i) {
          sum = py::make_tuple(sum, schedule.term(run.first + i * run.stride));
        }
        return sum;
      },
      [](const py::object& p, const py::object& q, int64_t) -> py::object {
        return py::make_tuple(p, q);
      });
}

py::dict describe(const ParsedArithmetic& parsed) {
  py::dict d;
  d["rounding"] = to_string(parsed.rounding);
  d["order"] = to_string(parsed.order);
  d["accumulator"] = parsed.order.exact() ? py::object(py::none()) : py::str(parsed.format_word);
  d["fused"] =
      parsed.order.is_tree() ? py::object(py::bool_(parsed.fused)) : py::object(py::none());
  d["bits"] = parsed.stochastic.bits;
  d["variant"] = std::string(1, parsed.stochastic.variant);
  d["seed"] = parsed.stochastic.seed;
  d["keyed_by"] = parsed.stochastic.keyed_by_operands ? "operands" : "position";
  d["text"] = to_string(parsed);
  return d;
}

py::dict describe(const Format& format) {
  py::dict d;
  d["precision"] = format.precision;
  d["exponent_min"] = format.exponent_min;
  d["exponent_max"] = format.exponent_max;
  d["max_finite"] = format.max_finite;
  d["has_infinity"] = format.has_infinity;
  d["word"] = to_string(format);
  return d;
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "The arithmetic of fpdet over NumPy arrays (see fpdet.core).";

  m.def("elementwise", &elementwise, py::arg("operation"), py::arg("arrays"), py::arg("out"),
        py::arg("format"), py::arg("rounding"), py::arg("counter") = 0, py::arg("pass_tag") = 0,
        py::arg("batch_offset") = 0, py::arg("sample_size") = 1, py::arg("hardware") = true,
        "out[i] = operation(arrays[0][i], ...) rounded once to format. hardware=False computes "
        "with integers even what the processor could: for tests.");
  m.def("function", &function, py::arg("function"), py::arg("x"), py::arg("out"), py::arg("format"),
        py::arg("rounding"), py::arg("counter") = 0, py::arg("pass_tag") = 0,
        py::arg("batch_offset") = 0, py::arg("sample_size") = 1,
        "out[i] = function(x[i]) rounded once to format.");
  m.def("function_digits", &function_digits, py::arg("function"), py::arg("x"),
        "What is known of function(x) before it is rounded: a number, or (negative, exponent, "
        "significand of 128 bits, its last one sticky, whether the rounding test succeeded).");
  m.def("reduce", &reduce_arrays, py::arg("arrays"), py::arg("out"), py::arg("terms"),
        py::arg("order"), py::arg("format"), py::arg("rounding"), py::arg("fused") = true,
        py::arg("counter") = 0, py::arg("pass_tag") = 0, py::arg("batch_offset") = 0,
        py::arg("sample_size") = 1, py::arg("hardware") = true,
        "out[row] = the ordered sum of row's terms (or products of two arrays).");
  m.def("tree", &tree, py::arg("order"), py::arg("n"), py::arg("counter") = 0,
        py::arg("pass_tag") = 0, py::arg("sample") = 0, py::arg("element") = 0,
        "The order's tree over n terms as nested pairs.");

  py::class_<ExactSum>(
      m, "ExactSum",
      "An exact sum of float64 numbers and of products of them; see csrc/core/exact.h.")
      .def(py::init<>())
      .def("clear", &ExactSum::clear, "Back to the empty sum, +0.")
      .def("add", &ExactSum::add, py::arg("x"))
      .def("add_product", &ExactSum::add_product, py::arg("a"), py::arg("b"))
      .def("merge", &ExactSum::merge, py::arg("other"), "Adds the terms of another sum.")
      .def(
          "round",
          [](ExactSum& sum, const std::string& format, const std::string& rounding_words) {
            const ParsedRounding rounding = parse_rounding(rounding_words);
            if (rounding.rounding == Rounding::Stochastic) {
              throw std::invalid_argument(
                  "rounding: expected one without random bits (sum_exact takes stochastic)");
            }
            return sum.round(parse_format(format), rounding.rounding);
          },
          py::arg("format") = "float64", py::arg("rounding") = "nearest_even",
          "The sum so far, rounded once.");

  m.def(
      "philox",
      [](std::pair<uint32_t, uint32_t> key, std::array<uint32_t, 4> counter) {
        const PhiloxBlock block =
            philox(PhiloxKey{key.first, key.second},
                   PhiloxBlock{counter[0], counter[1], counter[2], counter[3]});
        return py::make_tuple(block.w0, block.w1, block.w2, block.w3);
      },
      py::arg("key"), py::arg("counter"), "Philox4x32-10 of two key words and four counter words.");
  m.def(
      "random_bits",
      [](uint64_t seed, uint64_t counter, uint32_t pass, uint32_t n, uint64_t element,
         int64_t event, int bits) {
        if (event < 0) throw std::invalid_argument("event: expected 0 or more");
        RandomBits random(spec_of(bits), element_key(seed, counter, pass, n, element));
        return random.at(event);
      },
      py::arg("seed"), py::arg("counter"), py::arg("pass_tag"), py::arg("n"), py::arg("element"),
      py::arg("event"), py::arg("bits") = 32,
      "The random bits R of one event of an output element that is a reduction.");
  m.def(
      "elementwise_bits",
      [](uint64_t seed, uint64_t counter, uint32_t pass, uint64_t position, uint32_t event,
         int bits, uint32_t n) {
        return ElementwiseBits(spec_of(bits), sample_key(seed, counter, pass, n), position)
            .at(event);
      },
      py::arg("seed"), py::arg("counter"), py::arg("pass_tag"), py::arg("position"),
      py::arg("event") = 0, py::arg("bits") = 32, py::arg("n") = 0,
      "The random bits R of one event of an element of an elementwise op.");

  m.def(
      "parse_arithmetic", [](const std::string& text) { return describe(parse_arithmetic(text)); },
      py::arg("text"), "The parts of an arithmetic string and, under 'text', its canonical form.");
  m.def(
      "parse_rounding",
      [](const std::string& text) {
        const ParsedRounding parsed = parse_rounding(text);
        py::dict d;
        d["rounding"] = to_string(parsed.rounding);
        d["bits"] = parsed.stochastic.bits;
        d["variant"] = std::string(1, parsed.stochastic.variant);
        d["seed"] = parsed.stochastic.seed;
        d["keyed_by"] = parsed.stochastic.keyed_by_operands ? "operands" : "position";
        d["text"] = to_string(parsed.rounding) +
                    (parsed.rounding == Rounding::Stochastic ? to_string(parsed.stochastic) : "");
        return d;
      },
      py::arg("text"), "The parts of '<rounding> [options]'.");
  m.def(
      "parse_order", [](const std::string& text) { return to_string(parse_order(text)); },
      py::arg("text"), "The canonical form of an order word.");
  m.def(
      "parse_format", [](const std::string& text) { return describe(parse_format(text)); },
      py::arg("text"), "A format as data.");

  m.attr("ROUNDINGS") = py::tuple(
      py::cast(std::vector<std::string>(std::begin(kRoundingWords), std::end(kRoundingWords))));
  m.attr("ORDERS") =
      py::tuple(py::cast(std::vector<std::string>(std::begin(kOrderWords), std::end(kOrderWords))));
  std::vector<std::string> functions;
#define FPDET_ROW(enumerator, word, stem, code) functions.emplace_back(word);
  FPDET_FUNCTIONS(FPDET_ROW)
#undef FPDET_ROW
  m.attr("FUNCTIONS") = py::tuple(py::cast(functions));
  py::dict formats;
  for (const auto& [word, format] : kFormatWords) formats[word] = describe(format);
  m.attr("FORMATS") = formats;

  m.def("canary", &canary,
        "Names of IEEE 754 properties that this build lacks on this processor; empty if all hold.");
  m.def("read_environment", &read_environment, "This thread's MXCSR or FPCR.");
  m.def("write_environment", &write_environment, py::arg("value"),
        "Sets this thread's MXCSR or FPCR; for tests that leave hostile states.");
  m.def(
      "build_info",
      [] {
        py::dict d;
        d["compiler_version"] = __VERSION__;
        d["target"] = FPDET_STRING(FPDET_TARGET);
        d["canary"] = canary();
        return d;
      },
      "What this module was compiled by and for, and what its canary finds wrong.");
}
