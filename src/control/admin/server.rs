//! Sockets and HTTP: accepts admin connections, bounds each, turns pages into responses.
//!
//! Invariant: at most `connections_max` connections are open; each either sends a request head
//! in time, reads its answer in time, or is closed.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hyper::body::{Body as _, Incoming};
use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, SERVER};
use hyper::http::request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use observe::names::{AdminHttpStat, AdminListenerStat, ListenerHttpStat};
use observe::{GaugeGuard, Scope};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::body::PageBody;
use super::page::{Page, Parts, Query};
use super::routes;
use super::stall::StallLimit;
use super::view::View;
use crate::clock;

/// Bounds of the admin listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open connections; one more is closed at once and counted as
    /// `listener.admin.downstream_cx_overflow`.
    pub connections_max: usize,
    /// From the opening of a connection, or the end of the last answer, to the end of the next
    /// request head. So this is the idle timeout of a kept connection too.
    pub request_head_timeout: Duration,
    /// How long an answer may lie without the client reading any of it.
    pub write_stall_max: Duration,
    /// How long answers under way may take once the control loop was told to stop.
    pub finish_timeout: Duration,
}

impl Default for Limits {
    /// An operator, a scraper or two, and some probes: 64 connections; a minute between scrapes
    /// keeps a scraper's connection alive.
    fn default() -> Self {
        Self {
            connections_max: 64,
            request_head_timeout: Duration::from_secs(75),
            write_stall_max: Duration::from_secs(10),
            finish_timeout: Duration::from_secs(1),
        }
    }
}

/// Bytes of a request head: Envoy's default of 60 KiB. hyper stops reading at about this size,
/// but takes a longer head that came in one read, so the exact check is ours.
const REQUEST_HEAD_BYTES_MAX: usize = 60 * 1024;

/// Header fields of a request: Envoy's default.
const REQUEST_HEADERS_MAX: usize = 100;

/// Bytes of a form in the body of a request; other bodies are not read.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// Pause after a failed accept. With no descriptors left the listener stays readable, and
/// without a pause the loop would spin until one is free.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The admin server, bound and not serving yet.
#[derive(Debug)]
pub(crate) struct Admin {
    listener: TcpListener,
    limits: Limits,
    view: Rc<View>,
}

impl Admin {
    /// To be called inside a tokio runtime.
    pub(crate) fn new(listener: net::TcpListener, limits: Limits, view: View) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: TcpListener::from_std(listener)?, limits, view: Rc::new(view) })
    }

    /// Serves until `closing` turns true, then lets the answers under way finish.
    pub(crate) async fn serve(self, mut closing: watch::Receiver<bool>) {
        let Self { listener, limits, view } = self;
        let mut connections = JoinSet::new();
        let mut flushing = pin!(view.flush_stats());
        let closing_too = closing.clone();
        loop {
            tokio::select! {
                // In this order: a connection that has ended makes room for the one to accept.
                biased;
                () = closed(&mut closing) => break,
                () = &mut flushing => {}
                Some(ended) = connections.join_next() => log_panic(ended),
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        view.listener.inc(AdminListenerStat::DownstreamCxTotal);
                        if connections.len() < limits.connections_max {
                            let (view, closing) = (Rc::clone(&view), closing_too.clone());
                            let open = OpenConnection::new(&view);
                            connections.spawn_local(async move {
                                serve_connection(stream, limits, &view, closing).await;
                                drop(open);
                            });
                        } else {
                            view.listener.inc(AdminListenerStat::DownstreamCxOverflow);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept an admin connection");
                        sleep(ACCEPT_RETRY).await;
                    }
                },
            }
        }
        drop(listener);
        let finished = timeout(limits.finish_timeout, async {
            while let Some(ended) = connections.join_next().await {
                log_panic(ended);
            }
        });
        if finished.await.is_err() {
            tracing::warn!(open = connections.len(), "admin connections cut");
        }
    }
}

/// Waits until the loop was told to stop; a sender that is gone means the same.
async fn closed(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "an admin connection failed");
    }
}

/// Counts a connection as active, and as destroyed when dropped.
struct OpenConnection {
    active: GaugeGuard<AdminListenerStat>,
    http_active: GaugeGuard<AdminHttpStat>,
    _http1_active: GaugeGuard<AdminHttpStat>,
    accepted: Instant,
}

impl OpenConnection {
    fn new(view: &View) -> Self {
        let active = view.listener.guard(AdminListenerStat::DownstreamCxActive);
        view.http.inc(AdminHttpStat::DownstreamCxTotal);
        view.http.inc(AdminHttpStat::DownstreamCxHttp1Total);
        Self {
            active,
            http_active: view.http.guard(AdminHttpStat::DownstreamCxActive),
            _http1_active: view.http.guard(AdminHttpStat::DownstreamCxHttp1Active),
            accepted: clock::now(),
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let stats = self.active.scope();
        stats.inc(AdminListenerStat::DownstreamCxDestroy);
        let age = clock::now().saturating_duration_since(self.accepted);
        stats.record_duration(AdminListenerStat::DownstreamCxLengthMs, age);
        let http = self.http_active.scope();
        http.inc(AdminHttpStat::DownstreamCxDestroy);
        http.record_duration(AdminHttpStat::DownstreamCxLengthMs, age);
    }
}

async fn serve_connection(
    stream: TcpStream,
    limits: Limits,
    view: &Rc<View>,
    mut closing: watch::Receiver<bool>,
) {
    let service = service_fn(|request: Request<Incoming>| async move {
        Ok::<_, Infallible>(respond(view, limits, request).await)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.request_head_timeout)
        .max_headers(REQUEST_HEADERS_MAX)
        .max_buf_size(REQUEST_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(StallLimit::new(stream, limits.write_stall_max)), service);
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = closed(&mut closing) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "admin connection ended");
    }
}

async fn respond(
    view: &Rc<View>,
    limits: Limits,
    request: Request<Incoming>,
) -> Response<PageBody> {
    let (http, listener) = (&view.http, &view.listener_http);
    let under_way = RequestUnderWay::begin(http);
    let (mut page, last) = match refusal(&request) {
        Some(page) => (page, true),
        None => match parameters(request, limits).await {
            Ok((head, query)) => {
                (routes::answer(view, &head.method, head.uri.path(), &query), false)
            }
            Err(page) => (page, true),
        },
    };
    http.inc(AdminHttpStat::DownstreamRqCompleted);
    listener.inc(ListenerHttpStat::DownstreamRqCompleted);
    let (by_all, by_listener) = match page.status.as_u16() / 100 {
        2 => (AdminHttpStat::DownstreamRq2xx, ListenerHttpStat::DownstreamRq2xx),
        4 => (AdminHttpStat::DownstreamRq4xx, ListenerHttpStat::DownstreamRq4xx),
        _ => (AdminHttpStat::DownstreamRq5xx, ListenerHttpStat::DownstreamRq5xx),
    };
    http.inc(by_all);
    listener.inc(by_listener);
    page.parts = page.parts.map(|parts| -> Parts { Box::new(Held { parts, _held: under_way }) });
    response(page, last)
}

/// That a request is being answered.
struct RequestUnderWay {
    active: GaugeGuard<AdminHttpStat>,
    began: Instant,
}

impl RequestUnderWay {
    fn begin(http: &Scope<AdminHttpStat>) -> Self {
        http.inc(AdminHttpStat::DownstreamRqTotal);
        http.inc(AdminHttpStat::DownstreamRqHttp1Total);
        Self { active: http.guard(AdminHttpStat::DownstreamRqActive), began: clock::now() }
    }
}

impl Drop for RequestUnderWay {
    fn drop(&mut self) {
        let age = clock::now().saturating_duration_since(self.began);
        self.active.scope().record_duration(AdminHttpStat::DownstreamRqTime, age);
    }
}

/// The parts of a page that are still to be made, with what lasts until then.
struct Held<T> {
    parts: Parts,
    _held: T,
}

impl<T> Iterator for Held<T> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.parts.next()
    }
}

/// What Envoy refuses before it looks at the path; the connection ends with it.
fn refusal(request: &Request<Incoming>) -> Option<Page> {
    if request.version() != Version::HTTP_11 {
        return Some(Page::text(StatusCode::UPGRADE_REQUIRED, "Upgrade Required"));
    }
    if head_bytes(request) > REQUEST_HEAD_BYTES_MAX {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Some(Page::text(status, "Request Header Fields Too Large"));
    }
    // `GET ready` and CONNECT name a host where the path should be.
    if request.uri().scheme().is_none() && request.uri().authority().is_some() {
        return Some(Page::text(StatusCode::BAD_REQUEST, "Bad Request"));
    }
    if !request.headers().contains_key(HOST) {
        return Some(Page::text(StatusCode::BAD_REQUEST, ""));
    }
    None
}

/// Names, values and target, as Envoy counts them: without separators and line ends.
fn head_bytes(request: &Request<Incoming>) -> usize {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let fields = request.headers().iter();
    fields.fold(target, |bytes, (name, value)| bytes + name.as_str().len() + value.len())
}

/// The parameters behind the path or, where there are none, those in the body of a form.
///
/// # Errors
/// The answer to a form that is too long or does not come to its end.
async fn parameters(
    request: Request<Incoming>,
    limits: Limits,
) -> Result<(request::Parts, Query), Page> {
    let (head, body) = request.into_parts();
    if let Some(text) = head.uri.query() {
        let query = Query::parse(text);
        return Ok((head, query));
    }
    let form = head.headers.get(CONTENT_TYPE).filter(|_| routes::takes_form(head.uri.path()));
    if form.is_none_or(|kind| kind.as_bytes() != b"application/x-www-form-urlencoded") {
        return Ok((head, Query::default()));
    }
    match timeout(limits.request_head_timeout, form_text(body)).await {
        Ok(Ok(text)) => Ok((head, Query::parse(&text))),
        Ok(Err(page)) => Err(page),
        Err(_) => Err(Page::text(StatusCode::REQUEST_TIMEOUT, "Request Timeout")),
    }
}

async fn form_text(mut body: Incoming) -> Result<String, Page> {
    let mut text = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(frame) = frame else {
            return Err(Page::text(StatusCode::BAD_REQUEST, "Bad Request"));
        };
        text.extend_from_slice(frame.data_ref().map_or(&[], |data| data.as_ref()));
        if text.len() > FORM_BYTES_MAX {
            return Err(Page::text(StatusCode::PAYLOAD_TOO_LARGE, "Payload Too Large"));
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn response(page: Page, last: bool) -> Response<PageBody> {
    let mut response = Response::new(PageBody::new(page.body, page.parts));
    *response.status_mut() = page.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert(SERVER, HeaderValue::from_static("nuncio"));
    if last {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
