#include "coupling/net.hpp"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "core/columns.hpp"
#include "coupling/kernels/net_kernels.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/random.hpp"

namespace relgrad {

namespace {

constexpr Index taps = kernels::taps;
/// Rows of a product: its operands stay in the second level of cache.
constexpr Index block_positions = 256;
/// Sums over samples are added up in at most this many parts, whatever the number of threads.
constexpr Index parts_most = 16;

std::size_t parameter_count(const NetShape& shape) {
  std::size_t count = 0;
  for (const NetTensorInfo& tensor : net_tensors(shape)) count += tensor.size();
  return count;
}

template <class T>
NetSpans<T> spans_of(const NetShape& shape, T* data) {
  NetSpans<T> spans;
  const auto tensors = net_tensors(shape);
  for (std::size_t i = 0; i < net_tensor_count; ++i) {
    spans[i] = {data, tensors[i].size()};
    data += tensors[i].size();
  }
  return spans;
}

template <class T>
void check_spans(const char* where, const NetShape& shape, const NetSpans<T>& spans) {
  const auto tensors = net_tensors(shape);
  for (std::size_t i = 0; i < net_tensor_count; ++i) {
    check_size(where, tensors[i].name, static_cast<std::int64_t>(spans[i].size()),
               static_cast<std::int64_t>(tensors[i].size()));
  }
}

/// Memory that stays with its thread from call to call.
template <class T>
T* thread_memory(std::size_t size) {
  static thread_local std::vector<T> memory;
  if (memory.size() < size) memory.resize(size);
  return memory.data();
}

}  // namespace

std::array<NetTensorInfo, net_tensor_count> net_tensors(const NetShape& shape) {
  return {{{"first_weight", taps * shape.channels_in, shape.hidden},
           {"first_bias", shape.hidden, 1},
           {"middle_weight", shape.hidden, shape.hidden},
           {"middle_bias", shape.hidden, 1},
           {"last_weight", shape.hidden, taps * shape.channels_out},
           {"last_bias", shape.channels_out, 1},
           {"last_log_scale", shape.channels_out, 1}}};
}

template <class T>
void initialize_net(const NetShape& shape, std::uint64_t seed, std::uint64_t item,
                    const NetSpans<T>& parameters) {
  check_spans("initialize_net", shape, parameters);
  for (const std::span<T> span : parameters) std::ranges::fill(span, T(0));
  const auto draw = [&](NetTensor tensor, Index inputs) {
    // epoch: one stream per tensor of the same net
    RandomStream(seed, Purpose::initialize, static_cast<std::uint32_t>(tensor), item)
        .uniform(parameters[tensor]);
    const T bound = T(1) / std::sqrt(static_cast<T>(inputs));
    for (T& value : parameters[tensor]) value = bound * (T(2) * value - T(1));
  };
  draw(first_weight, taps * shape.channels_in);
  draw(first_bias, taps * shape.channels_in);
  draw(middle_weight, shape.hidden);
  draw(middle_bias, shape.hidden);
}

/// The numbers of one block of samples, matrices of `positions` rows each.
template <class T>
struct CouplingNet<T>::Block {
  Index positions;
  T* input;    // C_in columns
  T* columns;  // 9 C_in: the input, shifted by each tap; later the derivatives by these
  T* h1;       // hidden
  T* h2;       // hidden
  T* d1;       // hidden: derivatives before the first ReLU
  T* d2;       // hidden
  T* output;   // C_out; in the backward pass y dL/dy
  T* delta;    // C_out: derivatives by w3 * h2 + b3
  T* spread;   // 9 C_out: h2 through each tap of w3, before the shifts; or their derivatives

  Block(const NetShape& shape, Index samples) : positions(samples * shape.plane()) {
    const Index guard = kernels::guard(shape.width);
    const Index in = shape.channels_in;
    const Index out = shape.channels_out;
    const Index numbers = (1 + taps) * (in + out) + out + 4 * shape.hidden;
    T* at = thread_memory<T>(static_cast<std::size_t>(numbers * positions + 6 * guard));
    const auto take = [&](Index columns_taken) {
      T* here = at + guard;
      at = here + columns_taken * positions;
      return here;
    };
    input = take(in);
    columns = take(taps * in);
    h1 = at;
    h2 = h1 + shape.hidden * positions;
    d1 = h2 + shape.hidden * positions;
    d2 = d1 + shape.hidden * positions;
    at = d2 + shape.hidden * positions;
    output = take(out);
    delta = take(out);
    spread = take(taps * out);
  }
};

template <class T>
CouplingNet<T>::CouplingNet(const NetShape& shape, const Products& products, NetMemory memory)
    : shape_(shape), products_(&products), memory_(memory) {
  const Index least =
      std::min({shape.channels_in, shape.channels_out, shape.height, shape.width, shape.hidden});
  if (least < 1) {
    throw UsageError(fmt::format(
        "coupling net: {} channels in, {} out, {} x {} positions, width {}: all must be at least 1",
        shape.channels_in, shape.channels_out, shape.height, shape.width, shape.hidden));
  }
  const Index block = samples_per_block() * shape.plane();
  inside_.resize(static_cast<std::size_t>(taps * block));
  for (Index t = 0; t < taps; ++t) {
    for (Index p = 0; p < block; ++p) {
      const Index y = p % shape.plane() / shape.width + t / 3 - 1;
      const Index x = p % shape.width + t % 3 - 1;
      const bool inside = y >= 0 && y < shape.height && x >= 0 && x < shape.width;
      inside_[static_cast<std::size_t>(t * block + p)] = inside ? ~Word{0} : Word{0};
    }
  }
}

template <class T>
Index CouplingNet<T>::samples_per_block() const {
  return std::max<Index>(1, block_positions / shape_.plane());
}

template <class T>
kernels::Taps<typename CouplingNet<T>::Word> CouplingNet<T>::shifts(Index positions) const {
  kernels::Taps<Word> shifts{inside_.data(), samples_per_block() * shape_.plane(), {}, positions};
  for (Index t = 0; t < taps; ++t) shifts.offset[t] = (t / 3 - 1) * shape_.width + (t % 3 - 1);
  return shifts;
}

template <class T>
Index CouplingNet<T>::kept_size() const {
  return output_size() + (memory_ == NetMemory::hidden ? 2 * shape_.hidden * shape_.plane() : 0);
}

namespace {

/// C (positions x n) = A (positions x k) op(B), some rows at a time: oneDNN is slow where A is
/// tall.
template <class T>
void multiply_rows(const Products& products, Transpose op_b, Index positions, Index n, Index k,
                   const T* a, const T* b, T* c) {
  for (Index begin = 0; begin < positions; begin += block_positions) {
    const Index rows = std::min(block_positions, positions - begin);
    products.gemm(Transpose::no, op_b, rows, n, k, a + begin, positions, b,
                  op_b == Transpose::no ? k : n, Onto::zero, c + begin, positions);
  }
}

/// Planes of `count` samples of a batch, `channels` each, to rows of a block, or back.
template <class T, class Move>
void for_each_plane(Index plane, Index channels, Index count, SampleRows<T> batch,
                    const Move& move) {
  for (Index c = 0; c < channels; ++c) {
    for (Index n = 0; n < count; ++n) {
      move(batch.data + n * batch.stride + c * plane, (c * count + n) * plane);
    }
  }
}

}  // namespace

template <class T>
void CouplingNet<T>::load_input(const Block& block, SampleRows<const T> input) const {
  const Index plane = shape_.plane();
  for_each_plane(plane, shape_.channels_in, block.positions / plane, input,
                 [&](const T* from, Index to) { std::copy_n(from, plane, block.input + to); });
  const kernels::Taps<Word> shifted = shifts(block.positions);
  for (Index c = 0; c < shape_.channels_in; ++c) {
    kernels::unfold(shifted, /*mirrored=*/false, block.input + c * block.positions,
                    block.columns + c * taps * block.positions);
  }
}

template <class T>
void CouplingNet<T>::hidden_layers(const Block& block, const NetSpans<const T>& parameters) const {
  const Index hidden = shape_.hidden;
  const auto activate = [&](T* h, NetTensor bias) {
    for (Index c = 0; c < hidden; ++c) {
      kernels::add_bias_and_relu(h + c * block.positions,
                                 parameters[bias][static_cast<std::size_t>(c)], block.positions);
    }
  };
  multiply_rows(*products_, Transpose::no, block.positions, hidden, taps * shape_.channels_in,
                block.columns, parameters[first_weight].data(), block.h1);
  activate(block.h1, first_bias);
  multiply_rows(*products_, Transpose::no, block.positions, hidden, hidden, block.h1,
                parameters[middle_weight].data(), block.h2);
  activate(block.h2, middle_bias);
}

template <class T>
void CouplingNet<T>::forward(const NetSpans<const T>& parameters, SampleRows<const T> input,
                             Index batch, std::span<T> kept) const {
  check_spans("CouplingNet::forward", shape_, parameters);
  check_size("CouplingNet::forward", "kept", static_cast<std::int64_t>(kept.size()),
             batch * kept_size());
  const Index plane = shape_.plane();
  const Index at_once = samples_per_block();
  for_each_index((batch + at_once - 1) / at_once, batch > at_once, [&](Index b) {
    const Index first = b * at_once;
    const Index count = std::min(at_once, batch - first);
    Block block(shape_, count);
    if (memory_ == NetMemory::hidden) {
      block.h1 = kept.data() + batch * output_size() + first * 2 * shape_.hidden * plane;
      block.h2 = block.h1 + shape_.hidden * block.positions;
    }
    load_input(block, {input.data + first * input.stride, input.stride});
    hidden_layers(block, parameters);
    multiply_rows(*products_, Transpose::no, block.positions, taps * shape_.channels_out,
                  shape_.hidden, block.h2, parameters[last_weight].data(), block.spread);
    const kernels::Taps<Word> shifted = shifts(block.positions);
    for (Index c = 0; c < shape_.channels_out; ++c) {
      const auto i = static_cast<std::size_t>(c);
      T* output = block.output + c * block.positions;
      kernels::fold(shifted, /*mirrored=*/false, block.spread + c * taps * block.positions, output);
      kernels::add_bias_and_scale(output, parameters[last_bias][i],
                                  std::exp(T(3) * parameters[last_log_scale][i]), block.positions);
    }
    for_each_plane<T>(plane, shape_.channels_out, count,
                      {kept.data() + first * output_size(), output_size()},
                      [&](T* to, Index from) { std::copy_n(block.output + from, plane, to); });
  });
}

template <class T>
void CouplingNet<T>::load_delta(const Block& block, const T* outputs,
                                SampleRows<const T> delta) const {
  const Index plane = shape_.plane();
  const Index count = block.positions / plane;
  for_each_plane<const T>(
      plane, shape_.channels_out, count, {outputs, output_size()},
      [&](const T* from, Index to) { std::copy_n(from, plane, block.output + to); });
  for_each_plane(plane, shape_.channels_out, count, delta,
                 [&](const T* from, Index to) { std::copy_n(from, plane, block.delta + to); });
}

/// From dL/dy to the derivatives at every product of the net.
template <class T>
void CouplingNet<T>::deltas(const Block& block, const NetSpans<const T>& parameters) const {
  const Index hidden = shape_.hidden;
  const kernels::Taps<Word> shifted = shifts(block.positions);
  for (Index c = 0; c < shape_.channels_out; ++c) {
    T* delta = block.delta + c * block.positions;
    kernels::multiply(delta, block.output + c * block.positions, block.positions);
    const T scale = std::exp(T(3) * parameters[last_log_scale][static_cast<std::size_t>(c)]);
    kernels::add_bias_and_scale(delta, T(0), scale, block.positions);
    kernels::unfold(shifted, /*mirrored=*/true, delta, block.spread + c * taps * block.positions);
  }
  multiply_rows(*products_, Transpose::yes, block.positions, hidden, taps * shape_.channels_out,
                block.spread, parameters[last_weight].data(), block.d2);
  kernels::relu_backward(block.h2, block.d2, hidden * block.positions);
  multiply_rows(*products_, Transpose::yes, block.positions, hidden, hidden, block.d2,
                parameters[middle_weight].data(), block.d1);
  kernels::relu_backward(block.h1, block.d1, hidden * block.positions);
}

/// Sums over positions [begin, begin + positions) of a block whose deltas are known.
template <class T>
void CouplingNet<T>::add_gradients(const Block& block, Index begin, Index positions, Onto onto,
                                   const NetSpans<T>& gradients) const {
  const Index hidden = shape_.hidden;
  const auto product = [&](Index m, Index n, const T* a, const T* b, NetTensor tensor) {
    products_->gemm(Transpose::yes, Transpose::no, m, n, positions, a + begin, block.positions,
                    b + begin, block.positions, onto, gradients[tensor].data(), m);
  };
  product(hidden, taps * shape_.channels_out, block.h2, block.spread, last_weight);
  product(hidden, hidden, block.h1, block.d2, middle_weight);
  product(taps * shape_.channels_in, hidden, block.columns, block.d1, first_weight);
  const auto put = [&](NetTensor tensor, Index c, T value) {
    T& sum = gradients[tensor][static_cast<std::size_t>(c)];
    sum = onto == Onto::zero ? value : sum + value;
  };
  const auto row = [&](const T* rows, Index c) { return rows + c * block.positions + begin; };
  for (Index c = 0; c < hidden; ++c) {
    put(middle_bias, c, kernels::sum(row(block.d2, c), positions));
    put(first_bias, c, kernels::sum(row(block.d1, c), positions));
  }
  for (Index c = 0; c < shape_.channels_out; ++c) {
    put(last_bias, c, kernels::sum(row(block.delta, c), positions));
    put(last_log_scale, c, T(3) * kernels::sum(row(block.output, c), positions));
  }
}

template <class T>
template <class Add>
void CouplingNet<T>::backward_block(Index first, Index count, const NetSpans<const T>& parameters,
                                    SampleRows<const T> input, Index batch, std::span<const T> kept,
                                    SampleRows<const T> delta, SampleRows<T> delta_input,
                                    const Add& add) const {
  const Index plane = shape_.plane();
  Block block(shape_, count);
  load_input(block, {input.data + first * input.stride, input.stride});
  if (memory_ == NetMemory::hidden) {
    const T* h1 = kept.data() + batch * output_size() + first * 2 * shape_.hidden * plane;
    block.h1 = const_cast<T*>(h1);  // only read
    block.h2 = block.h1 + shape_.hidden * block.positions;
  } else {
    hidden_layers(block, parameters);
  }
  load_delta(block, kept.data() + first * output_size(),
             {delta.data + first * delta.stride, delta.stride});
  deltas(block, parameters);
  add(block);
  multiply_rows(*products_, Transpose::yes, block.positions, taps * shape_.channels_in,
                shape_.hidden, block.d1, parameters[first_weight].data(), block.columns);
  const kernels::Taps<Word> shifted = shifts(block.positions);
  for (Index c = 0; c < shape_.channels_in; ++c) {
    kernels::fold(shifted, /*mirrored=*/true, block.columns + c * taps * block.positions,
                  block.input + c * block.positions);
  }
  for_each_plane<T>(plane, shape_.channels_in, count,
                    {delta_input.data + first * delta_input.stride, delta_input.stride},
                    [&](T* to, Index from) { kernels::add(block.input + from, to, plane); });
}

template <class T>
void CouplingNet<T>::backward(const NetSpans<const T>& parameters, SampleRows<const T> input,
                              Index batch, std::span<const T> kept, SampleRows<const T> delta,
                              SampleRows<T> delta_input, const NetSpans<T>& gradients) const {
  check_spans("CouplingNet::backward", shape_, parameters);
  check_spans("CouplingNet::backward", shape_, gradients);
  check_size("CouplingNet::backward", "kept", static_cast<std::int64_t>(kept.size()),
             batch * kept_size());
  const Index at_once = samples_per_block();
  const Index blocks = (batch + at_once - 1) / at_once;
  const Index parts = std::min(parts_most, blocks);
  const auto size = static_cast<Index>(parameter_count(shape_));
  static thread_local std::vector<T> part_sums;
  if (static_cast<Index>(part_sums.size()) < parts * size) part_sums.resize(parts * size);
  T* sums = part_sums.data();
  for_each_index(parts, parts > 1, [&](Index part) {
    const NetSpans<T> own = spans_of(shape_, sums + part * size);
    const Index begin = part * blocks / parts;
    for (Index b = begin; b < (part + 1) * blocks / parts; ++b) {
      const Index first = b * at_once;
      backward_block(first, std::min(at_once, batch - first), parameters, input, batch, kept, delta,
                     delta_input, [&](const Block& block) {
                       add_gradients(block, 0, block.positions,
                                     b == begin ? Onto::zero : Onto::itself, own);
                     });
    }
  });
  for (Index part = 0; part < parts; ++part) {
    const NetSpans<T> own = spans_of(shape_, sums + part * size);
    for (std::size_t i = 0; i < net_tensor_count; ++i) {
      kernels::add(own[i].data(), gradients[i].data(), static_cast<Index>(own[i].size()));
    }
  }
}

template <class T>
void CouplingNet<T>::backward_exact(const NetSpans<const T>& parameters, SampleRows<const T> input,
                                    Index batch, std::span<const T> kept, SampleRows<const T> delta,
                                    SampleRows<T> delta_input, const ExactGrid& grid,
                                    const NetSpans<double>& sums) const {
  check_spans("CouplingNet::backward_exact", shape_, parameters);
  check_spans("CouplingNet::backward_exact", shape_, sums);
  check_size("CouplingNet::backward_exact", "kept", static_cast<std::int64_t>(kept.size()),
             batch * kept_size());
  const Index at_once = samples_per_block();
  const std::size_t size = parameter_count(shape_);
  const Index blocks = (batch + at_once - 1) / at_once;
  const Index parts = std::min<Index>(omp_get_max_threads(), blocks);
  for_each_index(parts, parts > 1, [&](Index part) {
    static thread_local std::vector<T> of_sample;
    static thread_local std::vector<double> of_part;
    of_sample.resize(size);
    of_part.assign(size, 0.0);
    for (Index b = part * blocks / parts; b < (part + 1) * blocks / parts; ++b) {
      const Index first = b * at_once;
      backward_block(first, std::min(at_once, batch - first), parameters, input, batch, kept, delta,
                     delta_input, [&](const Block& block) {
                       for (Index begin = 0; begin < block.positions; begin += shape_.plane()) {
                         add_gradients(block, begin, shape_.plane(), Onto::zero,
                                       spans_of(shape_, of_sample.data()));
                         kernels::add_rounded(of_sample.data(), grid, of_part.data(),
                                              static_cast<Index>(size));
                       }
                     });
    }
#pragma omp critical(relgrad_coupling_net)
    {
      const NetSpans<double> own = spans_of(shape_, of_part.data());
      for (std::size_t i = 0; i < net_tensor_count; ++i) {
        kernels::add(own[i].data(), sums[i].data(), static_cast<Index>(own[i].size()));
      }
    }
  });
}

template void initialize_net(const NetShape&, std::uint64_t, std::uint64_t, const NetSpans<float>&);
template void initialize_net(const NetShape&, std::uint64_t, std::uint64_t,
                             const NetSpans<double>&);
template class CouplingNet<float>;
template class CouplingNet<double>;

}  // namespace relgrad
