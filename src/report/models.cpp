#include <fmt/format.h>
#include <fmt/ranges.h>

#include "relgrad/core/error.hpp"
#include "relgrad/core/json.hpp"
#include "relgrad/model/model_line.hpp"
#include "report/layer_table.hpp"
#include "report/sections.hpp"
#include "start/model.hpp"

namespace relgrad::reporting {

namespace {

using nlohmann::json;

std::string text_of(const json& value) {
  return value.is_string() ? value.get<std::string>() : json_text(value);
}

/// The layers as `inspect` shows them, and what they add up to.
Html layers(const RunRecord& run) {
  const json& tensors = run.checkpoint->manifest.at("tensors");
  const FlowSpec flow = flow_spec_of(*run.checkpoint);
  std::vector<std::vector<Html>> rows;
  std::int64_t parameters = 0;
  std::int64_t flops = 0;
  for (const auto& layer : layer_table(flow, tensors)) {
    parameters += layer.at("parameters").get<std::int64_t>();
    flops += layer.at("flops_per_sample").get<std::int64_t>();
    rows.emplace_back();
    for (const auto& [key, value] : layer.items())
      rows.back().push_back(html("{}", text_of(value)));
  }
  rows.push_back({Html(), Html("all"), Html(), Html(), html("{}", parameters), html("{}", flops)});
  return html("<p><code>{}</code></p>\n<div class=\"tight\">{}</div>\n", model_line(flow.layers),
              table({{"layer", true},
                     {"kind"},
                     {"in"},
                     {"out"},
                     {"parameters", true},
                     {"operations per sample, forward", true}},
                    rows));
}

/// "data mnist, 1 x 28 x 28 uint8, 50000 training samples; ..."
Html sentence(const RunRecord& run) {
  const json model = run.model();
  const json state = run.checkpoint->manifest.at("state");
  const json data = model.value("data", json::object());
  const json transform = model.value("transform", json::object());
  std::vector<std::string> shape;
  for (const json& extent : data.value("sample_shape", json::array())) {
    shape.push_back(text_of(extent));
  }
  return html(
      "<p>Data {}: {} {}, {} training samples. Transform: {}. Latent density: {}. Numbers: "
      "{}.</p>\n",
      text_of(data.value("name", json("?"))), fmt::format("{}", fmt::join(shape, " x ")),
      text_of(data.value("type", json("?"))), text_of(state.value("rows", json("?"))),
      text_of(transform.value("kind", json("?"))), text_of(model.value("latent", json("?"))),
      text_of(model.value("precision", json("?"))));
}

Html model_of(const RunRecord& run) {
  if (!run.checkpoint) {
    return Html("<p class=\"note\">The run has not written a checkpoint yet.</p>\n");
  }
  try {
    return html("{}{}", sentence(run), layers(run));
  } catch (const Error& error) {  // of a newer version
    return html("<p class=\"note\">{}</p>\n", error.what());
  } catch (const json::exception& error) {
    return html("<p class=\"note\">{}: {}</p>\n", run.checkpoint->directory.string(), error.what());
  }
}

}  // namespace

Html models(const Runs& runs) {
  Html parts;
  std::vector<std::pair<std::string, std::string>> seen;  // model, name of the run
  for (const RunRecord& run : runs) {
    Html part = model_of(run);
    for (const auto& [markup, name] : seen) {
      if (markup == part.markup()) part = html("<p>The same model as {}.</p>\n", name);
    }
    seen.emplace_back(part.markup(), run.name);
    if (runs.size() > 1) parts += html("<h3>{}</h3>\n", run.name);
    parts += part;
  }
  return html("<section>\n<h2>Model</h2>\n{}</section>\n", parts);
}

}  // namespace relgrad::reporting
