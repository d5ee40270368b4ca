// Generated histories, judged by the reference model: every answer of the machine, at every kept
// revision, with cursors, waits, trimming and images under way. One seed, one history.
#include <gtest/gtest.h>

#include <deque>

#include "base/probe.h"
#include "base/rng.h"
#include "core/model.h"
#include "core/testing.h"

namespace doozer::core {
namespace {

const std::vector<std::string> kNames = {"a", "b", "a-b", "a.c", "ü"};
const std::vector<std::string> kGlobs = {"/**",     "/*",   "/a/*", "/a**",  "/*/b", "/a/b",
                                         "/a-b/**", "/b/?", "/",    "/**/b", "/a",   "/a/a*"};

struct Wait {
  size_t glob = 0;
  Position from;
  uint32_t skip = 0;
  WatchId id;
  bool over = false;
  bool revision = false;
};

/// One run: a machine and its model, side by side.
class Trial : public Waiter {
 public:
  Trial(uint64_t seed, int64_t history, int64_t match_work)
      : rng_(seed),
        history_(history),
        driver_({.history_revisions = history, .match_work = match_work}) {
    for (const std::string& pattern : kGlobs) {
      globs_.push_back(glob(pattern));
    }
  }

  void step() {
    command();
    if (rng_.chance(1, 3)) {
      add_wait();
    }
    if (rng_.chance(1, 20) && !waits_.empty()) {
      cancel_wait();
    }
    if (rng_.chance(1, 2)) {
      Budget budget(rng_.between(1, 12));
      driver_.machine->run(budget);
    }
    check_bounds();
    cursors();
    image();
    if (rng_.chance(1, 4)) {
      check_state(pick_revision());
    }
  }

  void finish() {
    driver_.run();
    check_waits();
    for (int64_t at = oldest(); at <= model_.revision(); at += 1 + (model_.revision() - at) / 8) {
      check_state(at);
    }
    while (writer_ != nullptr) {
      image();
    }
    Budget budget(7);
    while (driver_.machine->release(budget)) {
      budget = Budget(7);
    }
  }

  uint64_t loaded() const { return loaded_; }
  uint64_t told() const { return told_; }
  uint64_t late() const { return late_; }

  void on_event(WatchId id, uint64_t cookie, const EventView& event, uint32_t more) override {
    Wait& wait = waits_[cookie];
    ASSERT_FALSE(wait.over);
    ASSERT_EQ(wait.id, id);
    wait.over = true;
    ++told_;
    // The model's answer: the first matching event at or after the position, after the skipped.
    uint32_t skip = wait.skip;
    const Glob& pattern = *globs_[wait.glob];
    for (size_t i = 0; i < model_.events().size(); ++i) {
      const Model::Event& each = model_.events()[i];
      if (Position{Revision(each.revision), each.sub} < wait.from || !pattern.matches(each.path)) {
        continue;
      }
      if (skip > 0 && Revision(each.revision) == wait.from.revision) {
        --skip;
        continue;
      }
      ASSERT_EQ(event.position.revision.value(), each.revision) << pattern.pattern();
      ASSERT_EQ(event.position.sub, each.sub);
      ASSERT_EQ(event.path, each.path);
      ASSERT_EQ(event.value, each.value);
      ASSERT_EQ(event.kind, each.kind);
      ASSERT_EQ(event.created, each.created);
      uint32_t expected = 0;
      for (size_t j = i + 1; j < model_.events().size(); ++j) {
        if (model_.events()[j].revision == each.revision) {
          expected += pattern.matches(model_.events()[j].path) ? 1 : 0;
        }
      }
      ASSERT_EQ(more, expected);
      return;
    }
    FAIL() << "an event that the model does not know";
  }
  void on_revision(WatchId id, uint64_t cookie) override {
    ASSERT_EQ(waits_[cookie].id, id);
    ASSERT_LE(waits_[cookie].from.revision.value(), model_.revision());
    waits_[cookie].over = true;
  }
  void on_too_late(WatchId id, uint64_t cookie, Revision oldest_now) override {
    ASSERT_EQ(waits_[cookie].id, id);
    ASSERT_EQ(oldest_now.value(), oldest());
    waits_[cookie].over = true;
    ++late_;
  }

 private:
  int64_t oldest() const { return std::max(int64_t{1}, model_.revision() - history_ + 1); }

  std::string pick_path() {
    std::string path;
    for (uint64_t depth = 1 + rng_.below(3); depth > 0; --depth) {
      path += "/" + kNames[rng_.below(kNames.size())];
    }
    if (rng_.chance(1, 40)) {
      return rng_.chance(1, 2) ? "/" : path + "/";
    }
    return path;
  }
  int64_t pick_given(const std::string& path) {
    const auto file = model_.now().find(path);
    const int64_t has = file == model_.now().end() ? 0 : file->second.modified;
    const int64_t choices[] = {-1, -1, -1, has, has, has + 5, has - 1, 0, -2, -3};
    return choices[rng_.below(10)];
  }
  int64_t pick_revision() { return rng_.between(oldest(), std::max(oldest(), model_.revision())); }

  void command() {
    const uint64_t kind = rng_.below(20);
    const std::string path = pick_path();
    const std::string value = "v" + std::to_string(rng_.below(1000));
    std::deque<std::string> kept;
    TransactionView transaction;
    BodyView body = NopView{};
    if (kind < 10) {
      body = SetView{.path = path, .revision = pick_given(path), .value = value};
    } else if (kind < 15) {
      body = DelView{.path = path, .revision = pick_given(path)};
    } else if (kind < 19) {
      for (uint64_t i = rng_.below(3); i > 0; --i) {
        kept.push_back(pick_path());
        const auto compare = static_cast<Compare>(rng_.between(1, 4));
        transaction.guards.push_back({compare, kept.back(), pick_given(kept.back())});
      }
      for (uint64_t i = rng_.below(6); i > 0; --i) {
        kept.push_back(pick_path());
        transaction.operations.push_back({rng_.chance(1, 2), kept.back(), value});
      }
      body = transaction;
    }
    const int64_t before = model_.revision();
    const std::optional<Code> refused = model_.apply(body);
    const Applied applied = driver_.apply(body);
    ASSERT_EQ(applied.refused.has_value(), refused.has_value()) << path;
    if (refused) {
      ASSERT_EQ(applied.refused->code, *refused) << applied.refused->message;
    }
    ASSERT_EQ(applied.revision.value(), model_.revision());
    ASSERT_EQ(applied.changed, model_.revision() != before);
    if (follower_ != nullptr) {
      const auto followed = follower_->apply(follower_->applied() + 1, encode(body));
      ASSERT_TRUE(followed.has_value());
      ASSERT_EQ(follower_->digests(), driver_.machine->digests());
      ASSERT_EQ(follower_->stats().directories, driver_.machine->stats().directories);
    }
    if (loading_ != nullptr) {
      missed_.push_back(encode(body));
    }
  }

  void check_bounds() {
    const Machine& machine = *driver_.machine;
    ASSERT_EQ(machine.oldest().value(), oldest());
    ASSERT_TRUE(machine.check_kept(Revision(oldest())).has_value());
    ASSERT_EQ(machine.check_kept(Revision(oldest() - 1)).has_value(), oldest() == 1);
    ASSERT_EQ(machine.stats().files, model_.now().size());
  }

  void check_state(int64_t at) {
    const Model::Files& files = model_.at(std::min(at, model_.revision()));
    check_machine(*driver_.machine, files, at);
    if (follower_ != nullptr && at >= follower_->oldest().value()) {
      check_machine(*follower_, files, at);
    }
  }

  void check_machine(const Machine& machine, const Model::Files& files, int64_t at) {
    std::optional<Revision> when;
    if (at < model_.revision() || rng_.chance(1, 2)) {
      when = Revision(at);
    }
    std::vector<std::string> paths = {"/"};
    for (size_t i = 0; i < paths.size(); ++i) {
      check_path_at(machine, files, paths[i], when);
      if (paths[i].size() < 8) {
        for (const std::string& name : kNames) {
          paths.push_back((i == 0 ? "" : paths[i]) + "/" + name);
        }
      }
    }
    const size_t pattern = rng_.below(globs_.size());
    const auto cursor = machine.walk(globs_[pattern], when);
    uint64_t offset = 0;
    FileView view;
    for (const auto& [path, file] : files) {
      if (globs_[pattern]->matches(path)) {
        ASSERT_EQ(seek(*cursor, offset++, view), Seek::found) << path;
        ASSERT_EQ(view.path, path);
        ASSERT_EQ(view.value, file.value);
      }
    }
    ASSERT_EQ(seek(*cursor, offset, view), Seek::end) << kGlobs[pattern];
  }

  void check_path_at(const Machine& machine, const Model::Files& files, const std::string& path,
                     std::optional<Revision> when) {
    const Found found = machine.find(path, when);
    const auto file = files.find(path);
    if (file != files.end()) {
      ASSERT_EQ(found.kind, Found::Kind::file) << path;
      ASSERT_EQ(found.file.path, path);
      ASSERT_EQ(found.file.value, file->second.value);
      ASSERT_EQ(found.file.revision.value(), file->second.modified);
      ASSERT_EQ(found.file.create_revision.value(), file->second.created);
      ASSERT_EQ(found.file.version, file->second.version);
    } else if (Model::is_directory(files, path)) {
      ASSERT_EQ(found.kind, Found::Kind::directory) << path;
      const std::vector<std::string> names = Model::entries(files, path);
      ASSERT_EQ(found.entries, names.size()) << path;
      const auto cursor = machine.list(path, when);
      for (size_t i = 0; i <= names.size(); ++i) {
        std::string_view name;
        Seek result = Seek::more;
        while (result == Seek::more) {
          Budget budget(2);
          result = cursor->seek(i, budget, name);
        }
        ASSERT_EQ(result, i < names.size() ? Seek::found : Seek::end);
        if (i < names.size()) {
          ASSERT_EQ(name, names[i]);
        }
      }
    } else {
      ASSERT_EQ(found.kind, Found::Kind::missing) << path;
    }
  }

  Seek seek(WalkCursor& cursor, uint64_t offset, FileView& view) {
    for (;;) {
      Budget budget(rng_.between(1, 9));
      const Seek result = cursor.seek(offset, budget, view);
      if (result != Seek::more) {
        return result;
      }
    }
  }

  struct LiveCursor {
    size_t glob = 0;
    std::optional<Revision> at;
    uint64_t offset = 0;
    std::unique_ptr<WalkCursor> walk;
    std::string directory;
    std::unique_ptr<ListCursor> list;
  };

  /// Cursors that live on while the tree changes, asked in any order.
  void cursors() {
    if (cursors_.size() < 6) {
      LiveCursor made;
      made.glob = rng_.below(globs_.size());
      made.directory = rng_.chance(1, 2) ? "/" : "/a";
      if (rng_.chance(1, 3) && model_.revision() > 0) {
        made.at = Revision(pick_revision());
      }
      made.walk = driver_.machine->walk(globs_[made.glob], made.at);
      made.list = driver_.machine->list(made.directory, made.at);
      cursors_.push_back(std::move(made));
    }
    LiveCursor& cursor = cursors_[rng_.below(cursors_.size())];
    if (cursor.at && cursor.at->value() < oldest()) {
      FileView view;
      ASSERT_EQ(seek(*cursor.walk, 0, view), Seek::too_late);
    } else {
      ask_walk(cursor);
      ask_list(cursor);
    }
    if (rng_.chance(1, 20)) {
      std::swap(cursor, cursors_.back());
      cursors_.pop_back();
    }
  }
  const Model::Files& files_of(const LiveCursor& cursor) const {
    return cursor.at ? model_.at(cursor.at->value()) : model_.now();
  }
  void ask_walk(LiveCursor& cursor) {
    cursor.offset = rng_.chance(1, 4) ? rng_.below(8) : cursor.offset;
    std::vector<std::string> expected;
    for (const auto& [path, file] : files_of(cursor)) {
      if (globs_[cursor.glob]->matches(path)) {
        expected.push_back(path);
      }
    }
    FileView view;
    const Seek result = seek(*cursor.walk, cursor.offset, view);
    ASSERT_EQ(result, cursor.offset < expected.size() ? Seek::found : Seek::end)
        << kGlobs[cursor.glob] << " offset " << cursor.offset;
    if (result == Seek::found) {
      ASSERT_EQ(view.path, expected[cursor.offset]) << kGlobs[cursor.glob];
    }
    cursor.offset = result == Seek::end ? 0 : cursor.offset + 1;
  }
  void ask_list(LiveCursor& cursor) {
    const auto expected = Model::entries(files_of(cursor), cursor.directory);
    const uint64_t offset = rng_.below(6);
    std::string_view name;
    Seek result = Seek::more;
    while (result == Seek::more) {
      Budget budget(1);
      result = cursor.list->seek(offset, budget, name);
    }
    ASSERT_EQ(result, offset < expected.size() ? Seek::found : Seek::end);
    if (result == Seek::found) {
      ASSERT_EQ(name, expected[offset]);
    }
  }

  void add_wait() {
    Wait wait;
    wait.glob = rng_.below(globs_.size());
    wait.from.revision = Revision(rng_.between(oldest(), model_.revision() + 4));
    wait.from.sub = rng_.chance(1, 5) ? static_cast<uint32_t>(rng_.below(3)) : 0;
    wait.skip = rng_.chance(1, 5) ? static_cast<uint32_t>(rng_.below(3)) : 0;
    wait.revision = rng_.chance(1, 6);
    const uint64_t cookie = waits_.size();
    waits_.push_back(wait);
    waits_.back().id =
        wait.revision ? driver_.machine->watches().wait_revision(wait.from.revision, *this, cookie)
                      : driver_.machine->watches().wait_event(globs_[wait.glob], wait.from,
                                                              wait.skip, *this, cookie);
  }
  void cancel_wait() {
    Wait& wait = waits_[rng_.below(waits_.size())];
    driver_.machine->watches().cancel(wait.id);  // may be over
    wait.over = true;
  }
  /// After everything was told, only those wait for whom there is no event.
  void check_waits() {
    size_t open = 0;
    for (const Wait& wait : waits_) {
      if (wait.over) {
        continue;
      }
      ++open;
      uint32_t skip = wait.skip;
      ASSERT_FALSE(wait.revision && wait.from.revision.value() <= model_.revision());
      for (const Model::Event& each : model_.events()) {
        const bool matches = !wait.revision && globs_[wait.glob]->matches(each.path) &&
                             Position{Revision(each.revision), each.sub} >= wait.from;
        if (matches && skip > 0 && Revision(each.revision) == wait.from.revision) {
          --skip;
        } else {
          ASSERT_FALSE(matches) << kGlobs[wait.glob] << " from " << wait.from.revision.value();
        }
      }
    }
    ASSERT_EQ(driver_.machine->watches().count(), open);
  }

  /// Now and then an image is written in slices, and loaded into a machine that then follows.
  void image() {
    if (writer_ == nullptr) {
      if (!rng_.chance(1, 25)) {
        return;
      }
      writer_ = driver_.machine->write_image();
      ASSERT_EQ(writer_->digests(), driver_.machine->digests());
      pinned_ = writer_->digests();
      loading_ = Machine::make({.history_revisions = history_});
      reader_ = loading_->read_image();
      missed_.clear();
    }
    Budget budget(rng_.between(1, 10));
    std::string piece;
    const auto step = writer_->next(rng_.below(400), budget, piece);
    ASSERT_TRUE(step.has_value());
    const size_t cut = rng_.below(piece.size() + 1);
    ASSERT_TRUE(reader_->add(std::string_view(piece).substr(0, cut)).has_value());
    ASSERT_TRUE(reader_->add(std::string_view(piece).substr(cut)).has_value());
    if (*step == ImageWriter::Step::more) {
      return;
    }
    const auto finished = reader_->finish();
    ASSERT_TRUE(finished.has_value()) << finished.error().message;
    ASSERT_EQ(loading_->digests(), pinned_);
    ASSERT_EQ(loading_->oldest().value(), std::max(int64_t{1}, pinned_.revision.value()));
    for (const std::string& command : missed_) {
      ASSERT_TRUE(loading_->apply(loading_->applied() + 1, command).has_value());
    }
    ASSERT_EQ(loading_->digests(), driver_.machine->digests());
    reader_.reset();
    writer_.reset();
    follower_ = std::move(loading_);
    ++loaded_;
  }

  Rng rng_;
  const int64_t history_;
  Model model_;
  Driver driver_;
  std::vector<std::shared_ptr<const Glob>> globs_;
  std::deque<Wait> waits_;
  std::vector<LiveCursor> cursors_;
  std::unique_ptr<ImageWriter> writer_;
  Digests pinned_;
  std::unique_ptr<ImageReader> reader_;
  std::unique_ptr<Machine> loading_;
  std::unique_ptr<Machine> follower_;
  std::vector<std::string> missed_;
  uint64_t loaded_ = 0;
  uint64_t told_ = 0;
  uint64_t late_ = 0;
};

TEST(Model, TheMachineAnswersAsTheModelThroughGeneratedHistories) {
  uint64_t loaded = 0;
  uint64_t told = 0;
  uint64_t late = 0;
  for (uint64_t seed = 1; seed <= 48; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const int64_t histories[] = {1, 3, 20, 100, 100'000};
    const int64_t match_works[] = {0, 90, 120, kMatchWork};
    Trial run(seed, histories[seed % 5], match_works[seed % 4]);
    for (int i = 0; i < 300; ++i) {
      ASSERT_NO_FATAL_FAILURE(run.step());
      ASSERT_FALSE(HasFatalFailure()) << "step " << i;
    }
    ASSERT_NO_FATAL_FAILURE(run.finish());
    loaded += run.loaded();
    told += run.told();
    late += run.late();
  }
  EXPECT_GT(loaded, 100U);
  EXPECT_GT(told, 1000U);
  EXPECT_GT(late, 10U);
  EXPECT_GT(Probe::reached("core_family_left_behind"), 100U);
  EXPECT_GT(Probe::reached("core_all_left_behind"), 100U);
}

}  // namespace
}  // namespace doozer::core
