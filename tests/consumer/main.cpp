// Trains a small flow on points along a parabola and prints their mean log-likelihood as it rises.
#include <cstdio>
#include <numeric>
#include <relgrad/core/random.hpp>
#include <relgrad/gradient/backward.hpp>
#include <relgrad/gradient/buffer.hpp>
#include <relgrad/likelihood/log_likelihood.hpp>
#include <relgrad/model/model_line.hpp>
#include <relgrad/optim/optimizer.hpp>

int main() {
  using namespace relgrad;
  constexpr Index samples = 500;
  Matrix<double> x(2, samples);
  RandomStream(/*seed=*/1, Purpose::synthetic, 0, 0).normal({x.data(), 2 * samples});
  x.row(1) = x.row(0).cwiseAbs2() + 0.3 * x.row(1);

  const Products products(parse_product_backend("auto"));
  const auto layers = parse_model_line("linear spline:8:6 linear spline:8:6 linear");
  Flow<double> flow({/*sample=*/2, Latent::normal, layers}, products);
  flow.initialize(Initialization::orthogonal, /*noise=*/0, /*seed=*/2);
  ParameterStore<double>& parameters = flow.parameters();
  const Optimizer<double> adam({});
  parameters.allocate_moments(adam.moment_count());

  FlowGradient<double> gradient(flow, GradientKind::relative);
  GradientBuffer<double> sums(parameters, products);
  Workspace<double> workspace(flow, samples);
  for (std::int64_t step = 0; step <= 300; ++step) {
    flow.prepare();
    workspace.load(x.data(), samples);
    forward(flow, workspace);
    const auto nats = workspace.log_likelihood();
    const double mean = std::accumulate(nats.begin(), nats.end(), 0.0) / samples +
                        sample_independent_log_abs_det(flow);
    if (step % 100 == 0) std::printf("step %3d: %.3f nats\n", static_cast<int>(step), mean);
    sums.clear();
    gradient.begin({step, samples});
    gradient.backward(workspace, sums);
    sums.add_per_sample_terms(samples);
    for (ParameterId id = 0; id < parameters.count(); ++id) {
      UpdateTile<double> tile{parameters.values(id), sums.sum(id)};
      tile.first_moment = parameters.moment(0, id);
      tile.second_moment = parameters.moment(1, id);
      adam.apply(tile, step, samples, /*lr=*/0.02);
    }
  }
}
