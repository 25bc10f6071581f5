//! The job in nginx's terms.

use std::path::{Path, PathBuf};

use harness::arm::Site;
use harness::workload::{Figure, Kind, Workload};

use super::Observing;

/// Envoy's default access log line in nginx's words: the same fields in the same order.
const LOG_FORMAT: &str = "'[$time_iso8601] \"$request_method $request_uri $server_protocol\" \
     $status - $request_length $body_bytes_sent $request_time $upstream_response_time \
     \"$http_x_forwarded_for\" \"$http_user_agent\" \"$request_id\" \"$http_host\" \
     \"$upstream_addr\"'";

/// The file for the work of `site`.
pub(super) fn configuration(site: &Site, observing: Observing) -> String {
    // A client's and an upstream's connection, and some for the listener and the channel.
    let connections = 2 * site.work.connections + 512;
    let (load, job) = if site.work.kind.is_http() {
        (String::new(), http(site, observing))
    } else {
        let module = stream_module();
        let load = module.map(|path| format!("load_module {};\n", path.display()));
        (load.unwrap_or_default(), stream(site))
    };
    format!(
        "{load}daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr error;\n\
         worker_rlimit_nofile {files};\n\
         events {{ worker_connections {connections}; }}\n{job}",
        files = connections + 512,
    )
}

/// Whether Debian's stream module, which TCP work needs, is missing.
pub(super) fn lacks_module_for(work: Workload) -> bool {
    !work.kind.is_http() && stream_module().is_none()
}

fn stream(site: &Site) -> String {
    format!(
        "stream {{\n    \
           access_log off;\n    \
           upstream one {{ server {upstream}; }}\n    \
           server {{ listen {listen} backlog=4096; proxy_pass one; proxy_timeout 1h; }}\n\
         }}\n",
        listen = site.listen,
        upstream = site.upstream,
    )
}

/// Connections live for ever on both sides, as in the other proxies: the defaults end them after
/// 1000 requests. Bodies stream and never touch the disk.
fn http(site: &Site, observing: Observing) -> String {
    let kind = site.work.kind;
    let (log, id) = match observing {
        Observing::OffByMatcher | Observing::Off => ("    access_log off;\n".to_owned(), ""),
        // Written in blocks and at least once a second, as Envoy does.
        Observing::On => (
            format!(
                "    log_format line {LOG_FORMAT};\n    \
                 access_log {path} line buffer=64k flush=1s;\n",
                path = site.access_log().display()
            ),
            "            proxy_set_header X-Request-Id $request_id;\n",
        ),
    };
    // Larger pieces are its best for bulk; for small requests the defaults are.
    let buffers = if site.work.kind.figure() == Figure::Gigabyte {
        "    proxy_buffer_size 64k;\n    proxy_buffers 8 64k;\n    \
         proxy_busy_buffers_size 256k;\n    client_body_buffer_size 256k;\n"
    } else {
        ""
    };
    format!(
        "http {{\n{log}    \
           tcp_nodelay on;\n    sendfile off;\n    \
           keepalive_timeout 1h;\n    keepalive_requests 1000000000;\n    \
           client_max_body_size 0;\n    proxy_request_buffering off;\n    \
           proxy_max_temp_file_size 0;\n    proxy_read_timeout 1h;\n    \
           proxy_send_timeout 1h;\n    client_body_timeout 1h;\n{buffers}    \
           upstream one {{\n        \
             server {upstream};\n        \
             keepalive {pool};\n        \
             keepalive_requests 1000000000;\n        \
             keepalive_timeout 1h;\n    \
           }}\n    \
           server {{\n        \
             listen {listen} backlog=4096{clients};\n        \
             location / {{\n            {direct}\
               proxy_pass http://one;\n            \
               proxy_http_version 1.1;\n            \
               proxy_set_header Connection \"\";\n            \
               proxy_set_header Host $http_host;\n            \
               proxy_set_header X-Forwarded-Proto $scheme;\n{id}        \
             }}\n    \
           }}\n\
         }}\n",
        clients = if kind.has_http2_clients() { " http2" } else { "" },
        direct = if kind == Kind::Http2Direct { direct() } else { String::new() },
        listen = site.listen,
        upstream = site.upstream,
        pool = site.work.connections,
    )
}

/// Answers everything by itself.
fn direct() -> String {
    let body = "x".repeat(harness::BODY);
    format!("default_type text/plain;\n            return 200 \"{body}\";\n            ")
}

/// Where Debian keeps nginx's stream module.
fn stream_module() -> Option<PathBuf> {
    let path = Path::new("/usr/lib/nginx/modules/ngx_stream_module.so");
    path.is_file().then(|| path.to_owned())
}
