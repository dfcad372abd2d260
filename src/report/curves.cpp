#include "report/chart.hpp"
#include "report/sections.hpp"

namespace relgrad::reporting {

namespace {

struct Unit {
  const char* name;   // class of the chart
  const char* title;  // at its axis
  bool is_bits;
};

struct Axis {
  const char* name;
  const char* title;
  double Reading::*value;
};

Point point_of(const Reading& reading, const Unit& unit, const Axis& axis) {
  const Likelihood& likelihood = reading.likelihood;
  const auto error =
      unit.is_bits ? likelihood.standard_error_bits_per_dim : likelihood.standard_error_nats;
  return {reading.*axis.value, unit.is_bits ? likelihood.bits_per_dim : likelihood.nats,
          error.value_or(0)};
}

Series series_of(const std::vector<Reading>& readings, const Unit& unit, const Axis& axis) {
  Series series;
  for (const Reading& reading : readings) {
    series.points.push_back(point_of(reading, unit, axis));
  }
  return series;
}

Html chart_of(const Runs& runs, const Unit& unit, const Axis& axis) {
  Chart chart{axis.title, unit.title, {}, unit.is_bits};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::string prefix = runs.size() > 1 ? runs[i].name + ", " : "";
    chart.series.push_back(series_of(runs[i].training.readings, unit, axis));
    chart.series.back().name = prefix + "training";
    chart.series.push_back(series_of(runs[i].validations, unit, axis));
    chart.series.back().name = prefix + "validation";
    chart.series.back().has_dots = true;
    for (std::size_t k = chart.series.size() - 2; k < chart.series.size(); ++k) {
      chart.series[k].colour = i;
    }
  }
  return draw(chart);
}

Html legend(const Runs& runs) {
  Html entries;
  if (runs.size() > 1) {
    for (std::size_t i = 0; i < runs.size(); ++i) {
      entries += html("<li><span class=\"swatch colour{}\"></span>{}</li>", i % colour_count,
                      runs[i].name);
    }
  }
  entries += Html(
      "<li><span class=\"swatch wide\"></span>validation ± standard error</li>"
      "<li><span class=\"swatch narrow\"></span>training</li>");
  return html("<ul class=\"legend\">{}</ul>\n", entries);
}

/// What the reader of the training curve must know.
Html caveat(const Runs& runs) {
  bool has_training = false;
  bool is_exact = true;
  for (const RunRecord& run : runs) {
    has_training |= !run.training.readings.empty();
    is_exact &= run.training.log_abs_det_is_exact;
  }
  Html text(
      "<p class=\"note\">Validations are exact. Seconds are those of training and validation, in "
      "all jobs of a run; the start of the program is not among them.");
  if (has_training && !is_exact) {
    text +=
        Html(" Training figures contain log|det| of the last validation, not of their own step.");
  }
  return html("{}</p>\n", text);
}

Html validation_table(const RunRecord& run, bool is_named) {
  std::vector<std::vector<Html>> rows;
  for (const Reading& reading : run.validations) {
    rows.push_back({html("{}", reading.step), html("{}", fmt::format("{:.4g}", reading.epoch)),
                    html("{}", fmt::format("{:.1f}", reading.seconds)),
                    html("{}", bits_text(reading.likelihood)),
                    html("{}", nats_text(reading.likelihood))});
  }
  if (rows.empty()) return {};
  return html("<details><summary>Validations{} as a table</summary>\n{}</details>\n",
              is_named ? " of " + run.name : "",
              table({{"step", true},
                     {"epoch", true},
                     {"seconds", true},
                     {"bits/dim", true},
                     {nats_unit(run), true}},
                    rows));
}

}  // namespace

Html curves(const Runs& runs) {
  const std::string nats = nats_unit(runs.front()) + " per sample";
  Html charts;
  for (const Unit& unit : {Unit{"bits", "bits/dim", true}, Unit{"nats", nats.c_str(), false}}) {
    for (const Axis& axis : {Axis{"epochs", "epochs", &Reading::epoch},
                             Axis{"seconds", "seconds", &Reading::seconds}}) {
      const Html chart = chart_of(runs, unit, axis);
      if (chart.empty()) return {};
      charts += html("<div class=\"chart {} {}\">\n{}</div>\n", unit.name, axis.name, chart);
    }
  }
  Html tables;
  for (const RunRecord& run : runs) tables += validation_table(run, runs.size() > 1);
  return html(
      "<section>\n<h2>Training and validation</h2>\n<div class=\"curves\">\n"
      "<input type=\"radio\" name=\"unit\" id=\"bits\" checked><label for=\"bits\">bits/dim</label>"
      "<input type=\"radio\" name=\"unit\" id=\"nats\"><label for=\"nats\">nats</label>"
      "<span class=\"gap\"></span>"
      "<input type=\"radio\" name=\"axis\" id=\"epochs\" checked><label for=\"epochs\">epochs"
      "</label>"
      "<input type=\"radio\" name=\"axis\" id=\"seconds\"><label for=\"seconds\">seconds</label>\n"
      "{}{}</div>\n{}{}</section>\n",
      legend(runs), charts, caveat(runs), tables);
}

}  // namespace relgrad::reporting
