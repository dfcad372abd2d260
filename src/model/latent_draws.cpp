#include "model/latent_draws.hpp"

namespace relgrad {

template <class T>
void draw_latents(const Flow<T>& flow, std::uint64_t seed, Range draws, double temperature,
                  const std::vector<Label>& labels, MatrixMap<T> z) {
  Vector<T> whole(flow.dimension());
  for (Index n = 0; n < z.cols(); ++n) {
    const RandomStream stream(seed, Purpose::sample_latent, 0,
                              static_cast<std::uint64_t>(draws.begin + n));
    sample_latent(flow.latent(), stream, temperature,
                  std::span(whole.data(), static_cast<std::size_t>(whole.size())));
    z.col(n) = whole.segment(flow.own().begin, z.rows());
    if (labels.empty()) continue;
    flow.move_to_class(labels[static_cast<std::size_t>(n)],
                       std::span(z.col(n).data(), static_cast<std::size_t>(z.rows())));
  }
}

// The first class whose prior, with those of the classes before it, exceeds a uniform draw.
template <class T>
std::vector<Label> draw_labels(const Flow<T>& flow, std::uint64_t seed, Range draws) {
  std::vector<Label> labels;
  for (std::int64_t n = draws.begin; n < draws.end; ++n) {
    double draw = 0;
    // stream 1 of draw n; 0 is that of its latent vector
    RandomStream(seed, Purpose::sample_latent, 1, static_cast<std::uint64_t>(n))
        .uniform(std::span(&draw, 1));
    double sum = 0;
    Label label = 0;
    for (const T probability : flow.prior().first(flow.prior().size() - 1)) {
      sum += static_cast<double>(probability);
      if (draw < sum) break;
      ++label;
    }
    labels.push_back(label);
  }
  return labels;
}

template void draw_latents(const Flow<float>&, std::uint64_t, Range, double,
                           const std::vector<Label>&, MatrixMap<float>);
template void draw_latents(const Flow<double>&, std::uint64_t, Range, double,
                           const std::vector<Label>&, MatrixMap<double>);
template std::vector<Label> draw_labels(const Flow<float>&, std::uint64_t, Range);
template std::vector<Label> draw_labels(const Flow<double>&, std::uint64_t, Range);

}  // namespace relgrad
