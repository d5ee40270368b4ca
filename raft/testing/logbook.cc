#include "raft/testing/logbook.h"

#include <cstdio>

#include "base/check.h"

namespace doozer::raft {
namespace {

template <typename T>
std::string number(T strong) {
  return std::to_string(strong.value());
}

std::string place(const LogPosition& position) {
  return number(position.index) + "/" + number(position.term);
}

std::string names(const std::vector<Identity>& list) {
  std::string text;
  for (const Identity& identity : list) text += (text.empty() ? "" : " ") + server_name(identity);
  return text;
}

std::string text_of(const Configuration& configuration) {
  const std::string now = "{" + names(configuration.voters) + "}";
  return configuration.joint() ? "{" + names(configuration.old_voters) + "} and " + now : now;
}

std::string text_of(const RequestVote& m) {
  std::string text = m.pre ? "would you vote" : "vote";
  text += " for term " + number(m.term) + "? my log ends at " +
          place({.index = m.last_index, .term = m.last_term});
  if (m.transfer) text += ", the leader sent me";
  if (m.gone) text += ", " + server_name(m.gone->identity) + " is gone";
  return text;
}

std::string text_of(const VoteReply& m) {
  std::string text = m.granted ? "yes" : "no";
  if (m.pre) text += ", I " + std::string(m.granted ? "would" : "would not");
  text += ", for term " + number(m.asked_term);
  if (!m.granted) text += "; I am in term " + number(m.term);
  if (!m.counts) text += "; but I doubt my log";
  return text;
}

std::string text_of(const AppendRange& m) {
  std::string text = "append ";
  if (m.count == 0) {
    text += "nothing";
  } else {
    text += number(m.prev.index + 1);
    if (m.count > 1) text += ".." + number(m.prev.index + m.count);
  }
  return text + (m.prev.index.value() == 0 ? "" : " after " + place(m.prev)) + ", commit " +
         number(m.head.commit) + ", round " + std::to_string(m.head.round);
}

std::string text_of(const AppendReply& m) {
  std::string text;
  if (m.accepted) {
    text = "agreed to " + number(m.agreed) + ", durable " + number(m.match) + ", round " +
           std::to_string(m.round);
  } else if (m.rejected.value() == 0) {
    text = "you are behind: I am in term " + number(m.term);
  } else {
    text = "no: I have nothing that fits after " + number(m.rejected) + ", try " + place(m.hint);
  }
  if (!m.counts && m.rejected.value() + m.agreed.value() > 0) text += "; but I doubt my log";
  if (!m.willing) text += "; I would rather not lead";
  return text;
}

std::string text_of(const SnapshotOffer& m) { return "take my snapshot " + place(m.snapshot); }
std::string text_of(const ReadRequest& m) {
  return "how far must I be to read? (" + std::to_string(m.id) + ")";
}
std::string text_of(const ReadReply& m) {
  return "at " + number(m.index) + " (" + std::to_string(m.id) + ")";
}
std::string text_of(const TimeoutNow&) { return "stand for election now"; }

}  // namespace

std::string describe(const Outgoing& message) {
  return std::visit([](const auto& m) { return text_of(m); }, message);
}

Logbook::Logbook(Network& network) : network_(network), seen_(network.size()) {
  for (size_t n = 1; n <= network.size(); ++n) {
    if (!network.is_up(n)) continue;
    const Core& core = network.core(n);
    seen_[n - 1] = {.role = core.role(),
                    .term = core.term(),
                    .commit = core.commit(),
                    .leader = core.leader(),
                    .configuration = core.configuration_index()};
  }
  network_.on_send = [this](size_t from, const Send& send) { on_send(from, send); };
  network_.on_step = [this](size_t n, const Event& event, const Output& output) {
    on_step(n, event, output);
  };
}

Logbook::~Logbook() {
  network_.on_send = {};
  network_.on_step = {};
}

void Logbook::say(const std::string& text) { text_ += "\n== " + text + "\n"; }

void Logbook::line(size_t n, const std::string& text) {
  char head[40];
  std::snprintf(head, sizeof head, "%9.3f ms  n%zu  ",
                static_cast<double>(network_.now_us() - 1'000) / 1000, n);
  text_ += head + text + "\n";
}

bool Logbook::is_news(size_t from, const Send& send) {
  const std::pair pair(from, send.to);
  if (const auto* append = std::get_if<AppendRange>(&send.message)) {
    Index& told = last_commit_[pair];
    const bool newer = append->head.commit > told;
    told = append->head.commit;
    return newer || append->count > 0;
  }
  if (!std::holds_alternative<AppendReply>(send.message)) return true;
  AppendReply reply = std::get<AppendReply>(send.message);
  reply.round = 0;
  std::string said = describe(reply);
  if (last_said_[pair] == said) return false;
  last_said_[pair] = std::move(said);
  return true;
}

void Logbook::on_send(size_t from, const Send& send) {
  if (!is_news(from, send) && !rounds_) return;
  line(from, "-> " + server_name(send.to) + "  " + describe(send.message));
}

void Logbook::on_step(size_t n, const Event& event, const Output& output) {
  if (const auto* gone = std::get_if<PeerGone>(&event)) {
    line(n, "has proof that " + server_name(gone->identity) + " is gone");
  }
  if (std::holds_alternative<ReadIndex>(event)) line(n, "is asked to read");
  if (const auto* propose = std::get_if<Propose>(&event); propose != nullptr && !output.refused) {
    line(n, "is given " + number(output.accepted_first));
  }
  if (output.refused) line(n, "refuses: " + output.reason.message);
  changes(n, output);
}

void Logbook::changes(size_t n, const Output& output) {
  const Core& core = network_.core(n);
  Seen& seen = seen_[n - 1];
  const bool new_term = core.term() != seen.term;
  if (core.role() != seen.role || (new_term && core.role() == Role::candidate)) {
    const char* const roles[] = {"follows", "stands", "leads"};
    line(n, std::string("** ") + roles[static_cast<size_t>(core.role())] + " in term " +
                number(core.term()));
  } else if (new_term) {
    line(n, "** goes to term " + number(core.term()));
  }
  if (output.reset_log) {
    line(n, "drops its log; its snapshot ends at " +
                place({.index = output.reset_log->index, .term = output.reset_log->term}));
  }
  if (output.truncate_from) line(n, "cuts its log from " + number(*output.truncate_from));
  if (core.configuration_index() != seen.configuration) {
    line(n, "goes by " + text_of(core.configuration()) + " of index " +
                number(core.configuration_index()));
  }
  if (core.commit() > seen.commit) line(n, "knows as committed " + number(core.commit()));
  for (const ReadReady& ready : output.reads) line(n, "may read at " + number(ready.index));
  if (output.settle) line(n, "trusts its log again");
  seen = {.role = core.role(),
          .term = core.term(),
          .commit = core.commit(),
          .leader = core.leader(),
          .configuration = core.configuration_index()};
}

}  // namespace doozer::raft
