// Pins: what is held for images being written while the history is trimmed, for how long, and that
// it is given back.
#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"
#include "core/testing.h"

namespace doozer::core {
namespace {

TEST(Pin, APinThatHoldsBackTooMuchIsGivenUpAsBusy) {
  Driver driver({.history_revisions = 1});
  const std::string value(4 * kMiB, 'v');
  constexpr size_t kFiles = kPinnedBytesMax / (4 * kMiB) + 1;
  const auto path = [](size_t i) { return "/big" + std::to_string(i); };
  for (size_t i = 0; i < kFiles; ++i) driver.set(path(i), -1, value);
  driver.run();
  const auto writer = driver.machine->write_image();
  EXPECT_EQ(writer->pressure(), 0);
  std::string out;
  for (size_t i = 0; i < kFiles / 2; ++i) driver.set(path(i), -1, "");
  EXPECT_GT(writer->pressure(), 45);
  EXPECT_LT(writer->pressure(), 50);
  Budget budget(100);
  EXPECT_TRUE(writer->next(1000, budget, out).has_value());
  for (size_t i = kFiles / 2; i < kFiles; ++i)
    i % 2 == 0 ? driver.set(path(i), -1, "") : driver.del(path(i), -1);
  driver.nop();
  driver.run();
  const auto step = writer->next(1000, budget, out);
  ASSERT_FALSE(step.has_value());
  EXPECT_EQ(step.error().code, Code::busy);
  EXPECT_LT(driver.machine->stats().history_bytes, 1 * kMiB);
}

std::string rest_of(ImageWriter& writer, std::string image) {
  for (;;) {
    Budget budget(kSliceSteps);
    const auto step = writer.next(1000, budget, image);
    CHECK(step.has_value());
    if (*step == ImageWriter::Step::done) return image;
  }
}

TEST(Pin, WritingTheSameFilesOverAndOverDoesNotEndAScan) {
  Driver driver({.history_revisions = 1});
  const std::string value(1 * kMiB, 'v');
  const auto path = [](int i) { return "/big" + std::to_string(i % 4); };
  for (int i = 0; i < 4; ++i) driver.set(path(i), -1, value);
  const auto writer = driver.machine->write_image();
  for (size_t bytes = 0; bytes < 2 * kPinnedBytesMax; bytes += value.size()) {
    const int i = static_cast<int>(bytes / value.size());
    i % 7 == 0 ? driver.del(path(i), -1) : driver.set(path(i), -1, value);
    ASSERT_LT(driver.machine->stats().history_bytes, 7 * kMiB);
  }
  EXPECT_EQ(writer->pressure(), 4 * 100 / 256);
  Driver loaded;
  ASSERT_TRUE(load_image(*loaded.machine, rest_of(*writer, ""), 10'000).has_value());
  EXPECT_EQ(loaded.machine->digests(), writer->digests());
  EXPECT_EQ(loaded.look("/big3"), "file " + value + " @4");
}

TEST(Pin, WhatTheScanHasPassedIsNotHeldForIt) {
  Driver driver({.history_revisions = 1});
  for (const char* path : {"/a", "/b", "/c", "/d"}) driver.set(path, -1, std::string(100'000, 'v'));
  const auto writer = driver.machine->write_image();
  std::string image;
  Budget budget(kSliceSteps);
  ASSERT_TRUE(writer->next(150'000, budget, image).has_value());  // "/a" and "/b"
  for (const char* path : {"/a", "/b", "/c", "/d"}) driver.set(path, -1, "");
  driver.nop();
  driver.run();
  EXPECT_GT(driver.machine->stats().history_bytes, 200'000U);
  EXPECT_LT(driver.machine->stats().history_bytes, 210'000U);
  Driver loaded;
  ASSERT_TRUE(load_image(*loaded.machine, rest_of(*writer, image), 10'000).has_value());
  EXPECT_EQ(loaded.machine->digests(), writer->digests());
}

TEST(Pin, WhatWasHeldGoesWithItsPinAndNotWithALaterOne) {
  Driver driver({.history_revisions = 1});
  constexpr int kFiles = 50;
  const auto path = [](int i) { return "/d" + std::to_string(i % 5) + "/" + std::to_string(i); };
  const auto each = [&](auto act) {
    for (int i = 0; i < kFiles; ++i) act(path(i));
  };
  each([&](const std::string& file) { driver.set(file, -1, "1"); });
  auto first = driver.machine->write_image();
  each([&](const std::string& file) { driver.del(file, -1); });
  driver.run();
  EXPECT_EQ(driver.machine->stats().history_events, 1U);
  EXPECT_GT(driver.machine->stats().history_bytes, kFiles * 40U);
  first.reset();
  auto second = driver.machine->write_image();  // of no file at all
  driver.run();
  EXPECT_LT(driver.machine->stats().history_bytes, 300U);
  each([&](const std::string& file) { driver.set(file, -1, "2"); });
  auto third = driver.machine->write_image();
  each([&](const std::string& file) { driver.set(file, -1, "3"); });
  second.reset();
  Driver loaded;
  ASSERT_TRUE(load_image(*loaded.machine, rest_of(*third, ""), 100).has_value());
  EXPECT_EQ(loaded.machine->digests(), third->digests());
  EXPECT_EQ(loaded.look(path(7)).substr(0, 6), "file 2");
  third.reset();
  each([&](const std::string& file) { driver.del(file, -1); });
  driver.nop();
  driver.run();
  EXPECT_EQ(driver.machine->stats().history_bytes, 32U);
  EXPECT_EQ(driver.machine->stats().directories, 0U);
  EXPECT_EQ(driver.list("/"), std::vector<std::string>());
}

TEST(Pin, FreeingLargeValuesCostsMoreSteps) {
  Driver driver({.history_revisions = 1});
  const std::string value(128 * kKiB, 'v');
  for (int i = 0; i < 100; ++i) driver.set("/large" + std::to_string(i), -1, value);
  auto writer = driver.machine->write_image();  // all of it is held for this
  for (int i = 0; i < 100; ++i) driver.set("/large" + std::to_string(i), -1, "");
  driver.nop();
  driver.run();
  const uint64_t held = driver.machine->stats().history_bytes;
  ASSERT_GT(held, 100 * value.size());
  writer.reset();
  Budget budget(90);
  EXPECT_TRUE(driver.machine->run(budget));
  EXPECT_LE(held - driver.machine->stats().history_bytes, 12 * value.size());
  driver.run();
  EXPECT_LT(driver.machine->stats().history_bytes, value.size());
}

/// Generated writes to a few files, some of them hot, while images are begun, written a little,
/// given up and finished, two at a time; judged by a map of each revision.
class Trial {
 public:
  Trial(uint64_t seed, int64_t history)
      : rng_(seed), history_(history), driver_({.history_revisions = history}) {}

  void step() {
    write();
    if (rng_.chance(1, 2)) {
      Budget budget(rng_.between(0, 6));
      driver_.machine->run(budget);
    }
    scan(scans_[rng_.below(2)]);
    const int64_t now = driver_.machine->revision().value();
    if (now == 0) return;
    const int64_t at = rng_.between(std::max(int64_t{1}, now - history_ + 1), now);
    const std::string path = pick();
    const auto& files = states_[static_cast<size_t>(at)];
    const auto file = files.find(path);
    const std::string looked = driver_.look(path, at);
    ASSERT_EQ(looked.substr(0, looked.find(" @")),
              file == files.end() ? "missing" : "file " + file->second);
  }
  void finish() {
    scans_[0] = {};
    scans_[1] = {};
    for (const std::string& path : paths_) driver_.del(path, -1);
    for (int64_t i = 0; i < history_; ++i) driver_.nop();
    driver_.run();
    const MachineStats stats = driver_.machine->stats();
    EXPECT_EQ(stats.history_events, static_cast<uint64_t>(history_));
    EXPECT_EQ(stats.history_bytes, static_cast<uint64_t>(history_) * 32);
    EXPECT_EQ(stats.directories, 0U);
    EXPECT_EQ(driver_.list("/"), std::vector<std::string>());
  }
  uint64_t loaded() const { return loaded_; }

 private:
  struct Scan {
    std::unique_ptr<ImageWriter> writer;
    std::string image;
    uint64_t speed = 0;
  };
  const std::string& pick() {
    return rng_.chance(1, 3) ? paths_[rng_.below(paths_.size())] : paths_[hot_];
  }
  void write() {
    if (rng_.chance(1, 200)) hot_ = rng_.below(paths_.size());
    const std::string path = pick();
    std::map<std::string, std::string> files = states_.back();
    const std::string value = std::to_string(states_.size());
    if (rng_.chance(1, 4)) {
      files.erase(path);
      if (!driver_.del(path, -1).changed) return;
    } else {
      files[path] = value;
      driver_.set(path, -1, value);
    }
    states_.push_back(std::move(files));
  }
  void scan(Scan& scan) {
    if (scan.writer == nullptr) {
      if (rng_.chance(1, 10)) scan = {driver_.machine->write_image(), "", 1 + rng_.below(20)};
      return;
    }
    if (rng_.chance(1, 150)) {
      scan = {};
      return;
    }
    if (!rng_.chance(1, scan.speed)) return;
    Budget budget(rng_.between(1, 3));
    const auto step = scan.writer->next(1000, budget, scan.image);
    ASSERT_TRUE(step.has_value());
    if (*step == ImageWriter::Step::more) return;
    Driver copy;
    ASSERT_TRUE(load_image(*copy.machine, scan.image, 100).has_value());
    ASSERT_EQ(copy.machine->digests(), scan.writer->digests());
    const auto at = static_cast<size_t>(copy.machine->revision().value());
    ASSERT_EQ(copy.machine->stats().files, states_[at].size());
    for (const auto& [path, value] : states_[at]) {
      ASSERT_EQ(copy.walk(path), std::vector<std::string>{path + "=" + value});
    }
    scan = {};
    ++loaded_;
  }

  Rng rng_;
  const int64_t history_;
  const std::vector<std::string> paths_ = {"/a", "/b/x", "/b/y", "/b-", "/c/d/e", "/z"};
  size_t hot_ = 0;
  Driver driver_;
  std::vector<std::map<std::string, std::string>> states_{{}};
  Scan scans_[2];
  uint64_t loaded_ = 0;
};

TEST(Pin, ImagesAreExactAndAllIsGivenBackThroughGeneratedHistories) {
  uint64_t loaded = 0;
  for (uint64_t seed = 1; seed <= 24; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const int64_t histories[] = {1, 2, 10, 150};
    Trial trial(seed, histories[seed % 4]);
    for (int i = 0; i < 2000; ++i) ASSERT_NO_FATAL_FAILURE(trial.step()) << i;
    ASSERT_NO_FATAL_FAILURE(trial.finish());
    loaded += trial.loaded();
  }
  EXPECT_GT(loaded, 500U);
}

}  // namespace
}  // namespace doozer::core
