#include "io/tls_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "io/address.h"

namespace doozer::io {

// The two strings of a TlsStream as OpenSSL's idea of a connection.
struct TlsStream::Bio {
  static TlsStream& of(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }
  static int read(BIO* bio, char* out, size_t size, size_t* done) {
    std::string_view& in = of(bio).in_;
    BIO_clear_retry_flags(bio);
    if (in.empty()) {
      BIO_set_retry_read(bio);
      return 0;
    }
    *done = std::min(size, in.size());
    std::memcpy(out, in.data(), *done);
    in.remove_prefix(*done);
    return 1;
  }
  static int write(BIO* bio, const char* bytes, size_t size, size_t* done) {
    of(bio).out_.append(bytes, size);
    *done = size;
    return 1;
  }
  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }
  static int create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
  }
  // The same for all streams of the process, and never changed once it is made.
  static const BIO_METHOD* method() {
    static const BIO_METHOD* const made = [] {
      BIO_METHOD* const fresh =
          BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "doozer stream");
      CHECK(fresh != nullptr);
      BIO_meth_set_read_ex(fresh, read);
      BIO_meth_set_write_ex(fresh, write);
      BIO_meth_set_ctrl(fresh, control);
      BIO_meth_set_create(fresh, create);
      return fresh;
    }();
    return made;
  }
};

namespace {

std::string_view trust_reason(long result) {
  switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED: return "it has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID: return "it is not valid yet";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return "it is for another name";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: return "its authority is unknown";
    default: return "it does not check";
  }
}

// The peer says that it does not like our certificate, or the lack of one.
bool about_our_certificate(unsigned long code) {
  if (ERR_GET_LIB(code) != ERR_LIB_SSL) return false;
  switch (ERR_GET_REASON(code)) {
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_CERTIFICATE_VERIFY_FAILED: return true;
    default: return false;
  }
}

}  // namespace

void TlsStream::SslFree::operator()(ssl_st* ssl) const { SSL_free(ssl); }

TlsStream::TlsStream(Loop& loop, const env::DialOptions& options, const TlsContext& context,
                     env::StreamEvents& events)
    : loop_(loop),
      stream_class_(options.stream_class),
      events_(&events),
      peer_(options.address),
      server_(false),
      attached_(true) {
  server_name_ = options.tls_server_name;
  if (server_name_.empty()) {
    if (const Result<HostPort> where = parse_host_port(options.address)) server_name_ = where->host;
  }
  make_ssl(context, false);
  SSL* const ssl = ssl_.get();
  const bool number = numeric_address(server_name_, 0).has_value();
  if (!number) SSL_set_tlsext_host_name(ssl, server_name_.c_str());
  if (!options.tls_insecure) {
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    const int done = number
                         ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), server_name_.c_str())
                         : SSL_set1_host(ssl, server_name_.c_str());
    // Without a name nothing would be compared.
    if (done != 1 || server_name_.empty()) {
      failure_ = std::make_unique<Error>(
          Error{Code::bad_argument, "TLS with " + peer_ + ": no usable server name"});
      loop_.enqueue(stream_class_, *this);
    }
  }
  plain_ = std::make_unique<SocketStream>(loop, options, static_cast<env::StreamEvents&>(*this));
  limit_handshake(options.timeout_us);
}

TlsStream::TlsStream(Loop& loop, env::StreamClass stream_class, UniqueFd fd, std::string peer,
                     const TlsContext& context, env::StreamEvents& handshake)
    : loop_(loop),
      stream_class_(stream_class),
      events_(&handshake),
      peer_(std::move(peer)),
      server_(true),
      attached_(false),
      connected_(true) {
  make_ssl(context, true);
  plain_ = std::make_unique<SocketStream>(loop, stream_class, std::move(fd), peer_,
                                          static_cast<env::StreamEvents&>(*this));
  limit_handshake(kHandshakeUsMax);
}

// A stream of which all is sent ends in good order, as a plain one would; one that dies with bytes
// unsent must look cut off.
TlsStream::~TlsStream() {
  loop_.cancel(timer_);
  if (plain_ != nullptr && established_ && !ending_ && unsent() == 0) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    flush();
  }
}

void TlsStream::make_ssl(const TlsContext& context, bool server) {
  ssl_.reset(SSL_new(context.get()));
  CHECK(ssl_ != nullptr);
  BIO* const bio = BIO_new(Bio::method());
  CHECK(bio != nullptr);
  BIO_set_data(bio, this);
  SSL_set_bio(ssl_.get(), bio, bio);
  if (server) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
  }
}

void TlsStream::limit_handshake(uint64_t us) {
  waits_since_us_ = loop_.now_us();
  timer_ = loop_.at(waits_since_us_ + us, [this] {
    timer_ = 0;
    fail_now({Code::timed_out, "TLS handshake with " + peer_ + ": timed out"});
  });
}

void TlsStream::attach(env::StreamEvents& events) {
  CHECK(!attached_);
  attached_ = true;
  events_ = &events;
  loop_.enqueue(stream_class_, *this);
}

// OpenSSL verifies what is shown, or the handshake fails; but nothing may have been shown.
bool TlsStream::certified() const {
  return established_ && (SSL_get_verify_mode(ssl_.get()) & SSL_VERIFY_PEER) != 0 &&
         SSL_get0_peer_certificate(ssl_.get()) != nullptr &&
         SSL_get_verify_result(ssl_.get()) == X509_V_OK;
}

void TlsStream::write(std::string bytes) {
  if (bytes.empty() || ending_ || plain_ == nullptr || failure_ != nullptr) return;
  if (!established_) {
    before_ += bytes;
    return;
  }
  encrypt(bytes);
  flush();
}

size_t TlsStream::unsent() const {
  return before_.size() + (plain_ == nullptr ? 0 : plain_->unsent());
}

void TlsStream::shutdown() {
  if (ending_ || plain_ == nullptr) return;
  ending_ = true;
  if (established_) end_now();
}

void TlsStream::set_class(env::StreamClass stream_class) {
  stream_class_ = stream_class;
  if (plain_ != nullptr) plain_->set_class(stream_class);
}

void TlsStream::pause_reading() { paused_ = true; }

void TlsStream::resume_reading() {
  if (!paused_) return;
  paused_ = false;
  if (plain_ != nullptr) loop_.enqueue(stream_class_, *this);
}

void TlsStream::on_connected() {
  peer_ = plain_->peer();
  connected_ = true;
  run({});
}

void TlsStream::on_bytes(std::string_view bytes) { run(bytes); }

void TlsStream::on_progress() {
  if (established_ && attached_) events_->on_progress();
}

void TlsStream::on_end() {
  plain_ended_ = true;
  run({});
}

void TlsStream::on_failed(const Error& error) {
  // A failed dial speaks for itself.
  fail_now(established_ || !connected_ ? error
                                       : with_context(error, "TLS handshake with " + peer_));
}

void TlsStream::on_ready() {
  if (failure_ != nullptr) {
    fail_now(std::move(*failure_));
    return;
  }
  run({});
}

// Feeds what was received to OpenSSL, and the owner with what comes out of it.
void TlsStream::run(std::string_view fresh) {
  if (plain_ == nullptr) return;
  const AliveGuard guard(alive_);
  std::string kept = std::move(kept_in_);
  kept_in_.clear();
  if (!kept.empty()) kept += fresh;
  in_ = kept.empty() ? fresh : std::string_view(kept);
  waits_for_turn_ = false;
  if ((established_ || handshake(guard)) && (!hears() || read_all(guard))) ended_short();
  if (guard.gone() || plain_ == nullptr) return;
  kept_in_ = in_;
  in_ = {};
  flush();
  const bool wants = !established_ ? !waits_for_turn_ : hears();
  if (wants) {
    plain_->resume_reading();
  } else {
    plain_->pause_reading();
  }
}

bool TlsStream::handshake(const AliveGuard& guard) {
  SSL* const ssl = ssl_.get();
  // A server's costly step is the answer to the hello; a client's, and one that asks for
  // certificates, may be any.
  const bool costly = !in_.empty() && (!server_ || SSL_get_state(ssl) == TLS_ST_BEFORE ||
                                       (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) != 0);
  if (costly && !loop_.take_handshake_step()) {
    waits_for_turn_ = true;
    loop_.enqueue(stream_class_, *this);
    return false;
  }
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl);
  if (result == 1) {
    established_ = true;
    loop_.cancel(std::exchange(timer_, 0));
    if (!before_.empty()) encrypt(std::exchange(before_, {}));
    if (ending_) end_now();
    flush();
    events_->on_connected();
    // The owner of an accepted stream hears from the next turn on.
    return !guard.gone() && plain_ != nullptr && !server_;
  }
  if (SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ) return fail_by("TLS handshake");
  // Half a hello is no hello: who sends it byte by byte gains no time.
  if (costly && SSL_get_state(ssl) != TLS_ST_BEFORE) waits_since_us_ = loop_.now_us();
  if (plain_ended_ && in_.empty()) {
    return fail_now({Code::closed, "TLS handshake with " + peer_ + ": the peer closed"});
  }
  return false;
}

bool TlsStream::read_all(const AliveGuard& guard) {
  const std::span<char> buffer = loop_.record_buffer();
  while (hears()) {
    size_t count = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &count);
    if (result == 1) {
      events_->on_bytes({buffer.data(), count});
    } else {
      const int error = SSL_get_error(ssl_.get(), result);
      if (error == SSL_ERROR_WANT_READ) return true;
      if (error != SSL_ERROR_ZERO_RETURN) return fail_by("TLS connection");
      read_ended_ = true;
      events_->on_end();
    }
    if (guard.gone() || plain_ == nullptr) return false;
  }
  return true;
}

// The connection ended although nobody had said that it would: an attacker may have cut it.
void TlsStream::ended_short() {
  if (!plain_ended_ || !hears() || !in_.empty()) return;
  fail_now({Code::closed, "TLS connection with " + peer_ + ": cut off by the peer"});
}

bool TlsStream::fail_by(std::string_view doing) {
  const std::string with = std::string(doing) + " with " + peer_;
  const long trust = SSL_get_verify_result(ssl_.get());
  const unsigned long code = ERR_peek_error();
  std::string reason = take_tls_error();
  if (trust != X509_V_OK && (SSL_get_verify_mode(ssl_.get()) & SSL_VERIFY_PEER) != 0) {
    const std::string whose = server_ || server_name_.empty() ? "" : " for " + server_name_;
    return fail_now(
        {Code::permission_denied, with + ": the peer's certificate" + whose +
                                      " is refused: " + std::string(trust_reason(trust)) + " (" +
                                      X509_verify_cert_error_string(trust) + ")"});
  }
  if (about_our_certificate(code)) {
    return fail_now({Code::permission_denied, with + ": " + reason});
  }
  return fail_now({Code::io_error, with + ": " + reason});
}

bool TlsStream::fail_now(Error error) {
  if (plain_ == nullptr) return false;
  if (timer_ != 0) loop_.cancel(std::exchange(timer_, 0));
  unlink();
  failure_.reset();
  // The alert that says why.
  flush();
  plain_->shutdown();
  plain_.reset();
  in_ = {};
  kept_in_.clear();
  before_.clear();
  events_->on_failed(error);
  return false;
}

void TlsStream::encrypt(std::string_view bytes) {
  size_t done = 0;
  ERR_clear_error();
  if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &done) == 1) return;
  failure_ = std::make_unique<Error>(
      Error{Code::closed, "TLS connection with " + peer_ + ": send: " + take_tls_error()});
  loop_.enqueue(stream_class_, *this);
}

void TlsStream::end_now() {
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  flush();
  plain_->shutdown();
}

void TlsStream::flush() {
  if (!out_.empty()) plain_->write(std::exchange(out_, {}));
}

}  // namespace doozer::io
