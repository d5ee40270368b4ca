#include "sim/doozer_sim_batch.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/check.h"
#include "base/probe.h"

namespace doozer::sim {
namespace {

constexpr unsigned kRunSecondsMax = 300;  ///< of real time; then it is taken to hang

struct Figure {
  const char* name;
  uint64_t RunResult::* value;
};
constexpr Figure kFigures[] = {
    {"last_draw", &RunResult::last_draw},
    {"digest", &RunResult::digest},
    {"virtual_us", &RunResult::virtual_us},
    {"turns", &RunResult::turns},
    {"pieces", &RunResult::pieces},
    {"ok", &RunResult::ok},
    {"refused", &RunResult::refused},
    {"unknown", &RunResult::unknown},
    {"owed", &RunResult::owed},
    {"on_shared_files", &RunResult::on_shared_files},
    {"overlapped", &RunResult::overlapped},
    {"linear_unknown", &RunResult::linear_unknown},
};

/// The child: says what came of it, a line each; what else is printed is the words of its death.
[[noreturn]] void run_and_tell(const Plan& plan, bool twice, int write_end) {
  dup2(write_end, STDOUT_FILENO);
  dup2(write_end, STDERR_FILENO);
  alarm(kRunSecondsMax);
  Timeline silent;
  RunResult result = run_plan(plan, silent);
  if (twice && !(run_plan(plan, silent) == result)) {
    result.failures.emplace_back("a second run of the same plan came to something else");
  }
  for (const std::string& failure : result.failures) std::printf("=failure %s\n", failure.c_str());
  for (const Figure& figure : kFigures) {
    std::printf("=%s %llu\n", figure.name, static_cast<unsigned long long>(result.*figure.value));
  }
  for (const Probe* probe : Probe::all()) {
    std::printf("=probe %s %llu\n", std::string(probe->name()).c_str(),
                static_cast<unsigned long long>(probe->count()));
  }
  std::printf("=over\n");
  std::fflush(stdout);
  _exit(0);
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) {
    if (WTERMSIG(status) == SIGALRM) {
      return "it took over " + std::to_string(kRunSecondsMax) + " s of real time";
    }
    return std::string("the process died: ") + strsignal(WTERMSIG(status));
  }
  return "the process ended with status " + std::to_string(WEXITSTATUS(status));
}

/// A line without its "=".
void take_line(const std::string& line, ChildVerdict& verdict, bool& over) {
  const size_t space = line.find(' ');
  const std::string key = line.substr(0, space);
  const std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
  if (key == "over") over = true;
  if (key == "failure") verdict.failures.push_back(rest);
  if (key == "probe") {
    const size_t last = rest.rfind(' ');
    verdict.probes[rest.substr(0, last)] += std::strtoull(rest.c_str() + last + 1, nullptr, 10);
  }
  for (const Figure& figure : kFigures) {
    if (key == figure.name) verdict.result.*figure.value = std::strtoull(rest.c_str(), nullptr, 10);
  }
}

ChildVerdict verdict_of(const std::string& said, int status) {
  ChildVerdict verdict;
  bool over = false;
  std::vector<std::string> last_words;
  for (size_t at = 0; at < said.size();) {
    const size_t end = std::min(said.find('\n', at), said.size());
    const std::string line = said.substr(at, end - at);
    at = end + 1;
    if (line.starts_with('=')) {
      take_line(line.substr(1), verdict, over);
    } else if (!line.empty()) {
      last_words.push_back(line);
    }
  }
  if (over) return verdict;
  verdict.failures.push_back(how_it_ended(status));
  const size_t words_max = 20;
  if (last_words.size() > words_max) last_words.resize(words_max);
  verdict.failures.insert(verdict.failures.end(), last_words.begin(), last_words.end());
  return verdict;
}

}  // namespace

ChildRun::ChildRun(const Plan& plan, bool twice) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  std::fflush(stdout);
  pid_ = fork();
  CHECK(pid_ >= 0);
  if (pid_ == 0) {
    close(ends[0]);
    run_and_tell(plan, twice, ends[1]);
  }
  close(ends[1]);
  read_end_ = ends[0];
}

ChildRun::~ChildRun() {
  if (read_end_ >= 0) close(read_end_);
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::optional<ChildVerdict> ChildRun::advance() {
  char bytes[4096];
  const ssize_t got = read(read_end_, bytes, sizeof bytes);
  if (got > 0) {
    said_.append(bytes, static_cast<size_t>(got));
    return std::nullopt;
  }
  int status = 0;
  CHECK(waitpid(pid_, &status, 0) == pid_);
  pid_ = -1;
  return verdict_of(said_, status);
}

ChildVerdict run_child(const Plan& plan, bool twice) {
  ChildRun child(plan, twice);
  for (;;) {
    if (auto verdict = child.advance()) return *verdict;
  }
}

void run_batch(uint64_t count, unsigned jobs, const std::function<Plan(uint64_t)>& plan_of,
               const std::function<bool(uint64_t)>& twice,
               const std::function<bool(uint64_t, const ChildVerdict&)>& done) {
  std::map<uint64_t, std::unique_ptr<ChildRun>> running;
  std::map<uint64_t, ChildVerdict> finished;  // waiting for earlier ones
  uint64_t begun = 0;
  for (uint64_t told = 0; told < count;) {
    while (begun < count && running.size() < jobs) {
      running[begun] = std::make_unique<ChildRun>(plan_of(begun), twice(begun));
      ++begun;
    }
    std::vector<pollfd> polled;
    for (const auto& [number, child] : running) {
      polled.push_back({.fd = child->descriptor(), .events = POLLIN, .revents = 0});
    }
    CHECK(poll(polled.data(), polled.size(), -1) > 0 || errno == EINTR);
    for (const pollfd& ready : polled) {
      if (ready.revents == 0) continue;
      const auto child = std::ranges::find_if(
          running, [&](const auto& entry) { return entry.second->descriptor() == ready.fd; });
      if (auto verdict = child->second->advance()) {
        finished[child->first] = std::move(*verdict);
        running.erase(child);
      }
    }
    for (auto next = finished.find(told); next != finished.end(); next = finished.find(told)) {
      if (!done(told, next->second)) return;
      finished.erase(next);
      ++told;
    }
  }
}

}  // namespace doozer::sim
