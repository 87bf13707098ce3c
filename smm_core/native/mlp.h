// Passes of multilayer perceptrons with a run axis in front; see mlp.cpp.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string_view>
#include <vector>

namespace smm_core {

using Tensors = std::vector<at::Tensor>;

// R networks of equal sizes; see MLP in mlp.py.
struct Networks {
  at::TensorList weights;  // weight (R, in, out) and bias (R, 1, out) of each layer in turn
  int64_t copies;          // as many in a row see one input
  std::string_view activation;
  bool layer_norm;

  int64_t count() const { return weights[0].size(0); }
  int64_t layers() const { return static_cast<int64_t>(weights.size()) / 2; }
};

// Call `part` for 0 .. count - 1, each with a thread to itself where there are as many parts as
// threads and rows enough to be worth waking one.
void for_each(int64_t count, int64_t rows, const std::function<void(int64_t)>& part);

// From x (R / copies, B, in) to the output (R, B, out), and behind it what `backward` needs.
Tensors forward(const at::Tensor& x, const Networks& networks);

// From the gradient of the output to those of x, where it is wanted, and then of the weights,
// where they are; `found` is what `forward` returned.
Tensors backward(const at::Tensor& gradient, const at::Tensor& x, const Networks& networks,
                 at::TensorList found, bool wants_x, bool wants_weights);

}  // namespace smm_core
