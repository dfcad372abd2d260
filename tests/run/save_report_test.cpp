#include "run/save_report.hpp"

#include <gtest/gtest.h>

namespace relgrad {
namespace {

TEST(SaveReport, TellsTheTroubleOnceThenCountsThenTellsTheEnd) {
  SaveReport report;
  EXPECT_EQ(report.worked(5), "");
  EXPECT_EQ(report.failed(10, "disk full"), "checkpoint not saved, training goes on: disk full");
  EXPECT_EQ(report.failed(20, "disk full"), "checkpoint still not saved, 2nd time, since step 10");
  EXPECT_EQ(report.failed(30, "disk full"), "checkpoint still not saved, 3rd time, since step 10");
  EXPECT_EQ(report.worked(40),
            "checkpoint saved again at step 40, after 3 that could not be saved");
  EXPECT_EQ(report.worked(50), "");
}

TEST(SaveReport, TellsANewTroubleInFull) {
  SaveReport report;
  report.failed(10, "disk full");
  EXPECT_EQ(report.failed(20, "no permission"),
            "checkpoint still not saved, 2nd time, since step 10: no permission");
}

TEST(SaveReport, TellsTheSameTroubleInFullWhenItComesBack) {
  SaveReport report;
  report.failed(10, "disk full");
  report.worked(20);
  EXPECT_EQ(report.failed(30, "disk full"), "checkpoint not saved, training goes on: disk full");
}

TEST(Ordinal, IsThatOfTheLanguage) {
  for (const auto& [number, text] : {std::pair{1, "1st"},
                                     {2, "2nd"},
                                     {3, "3rd"},
                                     {4, "4th"},
                                     {11, "11th"},
                                     {12, "12th"},
                                     {13, "13th"},
                                     {21, "21st"},
                                     {101, "101st"},
                                     {111, "111th"}}) {
    EXPECT_EQ(ordinal(number), text);
  }
}

}  // namespace
}  // namespace relgrad
