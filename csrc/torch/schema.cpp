// SPDX-License-Identifier: MIT
// Every operator's schema. `arithmetic` is an Arithmetic in words (core/words.h), `draw` the (seed,
// counter) that its random bits come from, `pass_tag` and `batch_offset` their position. Autograd
// and fake kernels are Python's (fpdet/_ops.py).
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(fpdet, m) {
  m.def(
      "convolution(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, "
      "int[] dilation, int groups, int[] output_size, str arithmetic, Tensor? draw, int pass_tag, "
      "int batch_offset) -> Tensor");
  m.def(
      "convolution_grad_input(Tensor grad_output, Tensor weight, Tensor? bias, int[] stride, "
      "int[] padding, int[] dilation, int groups, int[] input_size, str arithmetic, Tensor? draw, "
      "int pass_tag, int batch_offset) -> Tensor");
  m.def(
      "convolution_grad_weight(Tensor grad_output, Tensor input, int[] stride, int[] padding, "
      "int[] dilation, int groups, int[] kernel_size, str arithmetic, Tensor? draw, int pass_tag) "
      "-> Tensor");
  m.def(
      "convolution_forward(Tensor input, Tensor weight, Tensor? bias, int[] numbers, "
      "str arithmetic, Tensor? draw) -> Tensor");
  m.def(
      "convolution_gradients(Tensor grad, Tensor input, Tensor weight, int[] numbers, "
      "str grad_input, str grad_weight, Tensor? draw) -> Tensor[]");
  m.def("channel_sum(Tensor grad_output, str arithmetic, Tensor? draw, int pass_tag) -> Tensor");
  m.def("add(Tensor a, Tensor b, str arithmetic, Tensor? draw, int pass_tag) -> Tensor");
  m.def(
      "binary(Tensor a, Tensor b, str operation, str arithmetic, Tensor? draw, int pass_tag, "
      "int batch_offset) -> Tensor");
  m.def(
      "binary_scalar(Tensor a, float b, bool scalar_first, str operation, str arithmetic, "
      "Tensor? draw, int pass_tag, int batch_offset) -> Tensor");
  m.def(
      "sum(Tensor a, Tensor? b, int[] dims, bool keepdim, str arithmetic, Tensor? draw, "
      "int pass_tag, int batch_offset) -> Tensor");
  m.def(
      "matmul(Tensor a, Tensor b, Tensor? bias, str arithmetic, Tensor? draw, int pass_tag, "
      "int batch_offset) -> Tensor");
  m.def(
      "gather_sum(Tensor x, Tensor offsets, Tensor indices, Tensor? weights, str arithmetic, "
      "Tensor? draw, int pass_tag, int batch_offset) -> Tensor");
  m.def(
      "unary(Tensor x, str function, str arithmetic, Tensor? draw, int pass_tag, int batch_offset) "
      "-> Tensor");
  m.def("partial_products(Tensor a, Tensor b) -> Tensor");
  m.def("merge_partials(Tensor partials) -> Tensor");
  m.def("round_partials(Tensor partials, str rounding, str dtype) -> Tensor");
  m.def("round(Tensor x, str format, str rounding, Tensor? draw, int batch_offset) -> Tensor");
  m.def(
      "round_out(Tensor x, str format, str rounding, Tensor? draw, int batch_offset, Tensor(a!) "
      "out) "
      "-> ()");
  m.def(
      "sgd_(Tensor(a!)[] params, Tensor[] grads, Tensor(b!)[] momentum_buffers, bool first_step, "
      "float lr, float momentum, float dampening, float weight_decay, bool nesterov, bool "
      "maximize, "
      "float rescale, str arithmetic, Tensor? draw) -> ()");
  m.def(
      "adam_(Tensor(a!)[] params, Tensor[] grads, Tensor(b!)[] exp_avgs, Tensor(c!)[] exp_avg_sqs, "
      "Tensor(d!)[] max_exp_avg_sqs, float lr, float beta1, float beta2, float beta1_power, "
      "float beta2_power, float eps, float weight_decay, bool decoupled, bool maximize, "
      "str arithmetic, Tensor? draw) -> ()");
  m.def(
      "random_words(Tensor draw, int samples, int elements, int words, int first_event, int "
      "pass_tag, int batch_offset) -> Tensor");

  // Knobs and probes, not arithmetic.
  m.def("instruction_sets() -> str[]");
  m.def("instruction_set() -> str");
  m.def("set_instruction_set(str name) -> str");
  m.def("contraction_methods() -> str[]");
  m.def("set_contraction_knobs(int columns, int terms, int rows, int workers, str method) -> ()");
  m.def("read_environments() -> int[]");
  m.def("write_environments(int value) -> ()");
  m.def("fma_loop(int steps) -> int");
  m.def("exact_stages() -> int[]");
  m.def("take_work_memory() -> int[]");
  m.def("use_elementwise_kernels(bool value) -> ()");
  m.def("use_function_kernels(bool value) -> ()");
  m.def("unary_functions() -> str[]");
  m.def("unary_covers(str function, str dtype, str arithmetic) -> bool");
  m.def("convolution_has_kernel(str dtype, str arithmetic) -> bool");
  m.def("convolution_has_cuda_kernel(str dtype, str arithmetic) -> bool");
  m.def("round_has_kernel(str dtype, str format, str rounding) -> bool");
  m.def("binary_has_kernel(str dtype, str operation, str arithmetic) -> bool");
  m.def("sgd_has_kernel(str dtype, str arithmetic) -> bool");
  m.def("adam_has_kernel(str dtype, str arithmetic) -> bool");
  m.def("sgd_has_cuda_kernel(str dtype, str arithmetic) -> bool");
  m.def("cuda_architectures() -> str");
}
