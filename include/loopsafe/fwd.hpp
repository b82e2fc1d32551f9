// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_FWD_HPP
#define LOOPSAFE_FWD_HPP

#include <loopsafe/config.hpp>

/// Every public class, by room; the only place with default template arguments.
namespace loopsafe {

// for all rooms
enum class errc;
enum class condition;
enum class context_origin : unsigned char;
struct context_info;
struct context_report;
class context_error;
class located_error;

// context
class context_id;
class context_ref;
template <class T>
class context_bound;
template <class T>
class context_local;
class context_pin;
class resident;
class residents;

// pool
class pool_mutex;
struct no_mutex;
struct pool_clock;
struct clock_reading;
template <class Mutex = pool_mutex, class Clock = pool_clock>
struct basic_keep_alive_pool;
template <class Mutex = pool_mutex, class Clock = pool_clock>
struct basic_null_pool;
template <class Mutex = pool_mutex, class Clock = pool_clock>
struct basic_per_context_pool;
template <class Mutex = pool_mutex, class Clock = pool_clock>
struct basic_carry_over_pool;
using keep_alive_pool = basic_keep_alive_pool<>;
using null_pool = basic_null_pool<>;
using per_context_pool = basic_per_context_pool<>;
using carry_over_pool = basic_carry_over_pool<>;
struct kept_connection_options;
struct single_use_options;
struct carried_connection_options;
struct acquire_options;
struct pool_event;
struct pool_stats;
struct lease_holder;
struct pool_report;
class pool_error;
enum class close_reason;
struct on_context;
struct thread_offload;
template <class Connector, class PoolPolicy = keep_alive_pool, class ExecutionPolicy = on_context>
class lease;
template <class Connector, class PoolPolicy = keep_alive_pool, class ExecutionPolicy = on_context>
class connection_pool;

// offload
class worker_threads;
class offload_error;
enum class on_cancel;
struct offload_options;
struct worker_options;
struct worker_stats;
template <class Connection>
class blocking_connection;
template <class T>
struct borrowed;

// tcp, tls
class tcp_stream;
class tcp_connector;
class tcp_error;
class tls_stream;
class tls_connector;
class tls_error;
struct tls_options;

// http
namespace http {
enum class errc;
enum class condition;
enum class stage;
enum class replay;
struct evidence;
class error;
struct origin;
struct url;
struct proxy;
class proxies;
class fields;
class body_writer;
class request_body;
class request;
struct response_head;
struct response;
class incoming_response;
struct limits;
struct timeouts;
struct event;
struct single_use_client_options;
struct client_options;
struct carried_client_options;
template <class PoolPolicy = keep_alive_pool, class ExecutionPolicy = on_context>
class basic_client;
using client = basic_client<>;
} // namespace http

// postgres
namespace postgres {
enum class errc;
enum class condition;
enum class stage;
struct diagnostics;
using notice = diagnostics;
class error;
class conversion_error;
struct parameter;
template <class T>
struct codec;
class statement;
class field;
class row;
class result;
class batch;
class outcome;
class connection;
enum class reset_session;
struct connector_options;
class connector;
} // namespace postgres

// run
class runner;
enum class on_error;
struct task_error;
struct task_scope_options;
class task_scope;
class remote_task_scope;
class all_failed;
struct with_options;
enum class lifespan_mode;
class lifespan;
template <class Clock = pool_clock>
class basic_deadline;
using deadline = basic_deadline<>;

// lambda
namespace lambda {
enum class errc;
class invocation;
class response_writer;
struct context_kept;
struct context_per_invocation;
struct concurrent;
struct snapshot_hook;
struct runtime_options;
class function_error;
class unmarshal_error;
class marshal_error;
template <class Parameter, class F>
class json_handler;
struct sqs_attribute;
struct sqs_record;
struct sqs_batch;
class batch_response;
enum class record_order;
enum class record_end;
struct record_failure;
struct each_record_options;
struct gateway_context;
struct http_request;
struct http_response;
struct http_server_options;
} // namespace lambda

// testing
namespace testing {
class manual_clock;
class connect_script;
class scripted_connection;
class scripted_connector;
struct two_contexts;
class mortal_context;
} // namespace testing

} // namespace loopsafe

#endif
