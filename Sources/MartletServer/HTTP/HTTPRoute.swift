import NIOCore
import NIOHTTP1
import Telemetry

/// One answer of the HTTP port, before it is written.
struct HTTPAnswer: Sendable, Equatable {
    var status: HTTPResponseStatus
    var contentType = "text/plain; charset=utf-8"
    var body: [UInt8]
    /// The Allow header of a 405.
    var allow: String?

    init(_ status: HTTPResponseStatus, _ text: String) {
        self.status = status
        self.body = Array(text.utf8)
    }

    init(contentType: String, _ body: [UInt8]) {
        self.status = .ok
        self.contentType = contentType
        self.body = body
    }
}

extension HTTPEndpoints {
    private static let paths = ["/metrics", "/healthz", "/readyz", "/status"]

    /// The answer to a request; for HEAD the one that GET would have.
    func answer(_ head: HTTPRequestHead) -> HTTPAnswer {
        let path = String(head.uri.prefix { $0 != "?" })
        guard Self.paths.contains(path) else {
            return HTTPAnswer(.notFound, "not found; there are \(Self.paths.joined(separator: ", "))\n")
        }
        guard head.method == .GET || head.method == .HEAD else {
            var answer = HTTPAnswer(.methodNotAllowed, "\(path) takes GET and HEAD\n")
            answer.allow = "GET, HEAD"
            return answer
        }
        switch path {
        case "/metrics":
            // Several Accept lines mean the same as one with commas.
            let accept = head.headers["accept"].joined(separator: ",")
            let format = ExpositionFormat.negotiate(accept: accept.isEmpty ? nil : accept)
            return HTTPAnswer(contentType: format.contentType, metrics(format))
        case "/healthz":
            return HTTPAnswer(.ok, "ok\n")
        case "/readyz":
            switch readiness() {
            case .ready: return HTTPAnswer(.ok, "ready\n")
            case .notReady(let reason): return HTTPAnswer(.serviceUnavailable, "not ready: \(reason)\n")
            }
        default:
            return HTTPAnswer(contentType: "application/json", Array(status().utf8))
        }
    }
}
