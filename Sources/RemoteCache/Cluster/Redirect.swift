/// An error reply by which a cluster sends a command to another server.
struct Redirect: Equatable {
    /// Only this command, after ASKING: the slot is on its way. Otherwise the slot has moved for good.
    let isAsk: Bool
    let slot: UInt16
    let endpoint: RedisEndpoint

    /// `MOVED 3999 127.0.0.1:6381` or `ASK ...`; nil for any other text.
    ///
    /// - Parameter asked: Who answered: a server that does not know its own name leaves the host out.
    init?(_ text: String, asked: RedisEndpoint) {
        let words = text.split(separator: " ", omittingEmptySubsequences: true)
        guard words.count >= 3, words[0] == "MOVED" || words[0] == "ASK",
            let slot = UInt16(words[1]), Int(slot) < KeySlot.count,
            let colon = words[2].lastIndex(of: ":"),
            let port = Int(words[2][words[2].index(after: colon)...]), (1...65_535).contains(port)
        else { return nil }
        var host = String(words[2][..<colon])
        if host.isEmpty || host == "?" { host = asked.host }
        guard host.utf8.count <= 255 else { return nil }
        isAsk = words[0] == "ASK"
        self.slot = slot
        endpoint = RedisEndpoint(host: host, port: port)
    }
}
