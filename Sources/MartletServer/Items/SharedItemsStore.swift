import NIOCore
import RemoteCache
import Vocabulary

/// The changes of items that nodes share, as they lie in Redis: two keys of one slot, and one for each node that writes.
///
/// Belongs to its event loop. Whatever is there that no node wrote is passed over and counted.
final class SharedItemsStore {
    /// Entries of the stream, about; who has missed some reads the hash.
    static let entriesKept = 10_000
    /// What a node wrote last is remembered as long, so that nothing is written twice.
    private static let authorSeconds = 7 * 86_400
    static let pollMax = 500
    private static let scanCount = 200
    /// Of a reply, so that it stays well below what a client takes.
    private static let replyBytesMax = 3 << 20

    /// A change and where it stands.
    struct Heard: Sendable {
        var version: ItemVersion
        var author: UInt64
        var token: UInt64
        var change: ItemChange
    }

    struct Entry: Sendable {
        var id: ItemVersion
        var previous: ItemVersion?
        /// Nil: no node wrote it.
        var heard: Heard?
    }

    struct Poll: Sendable {
        /// 0: there is nothing.
        var history: UInt64 = 0
        var last: ItemVersion = .zero
        var hasMore = false
        var entries: [Entry] = []
    }

    struct Page: Sendable {
        /// Nil: that was all.
        var cursor: String?
        var heard: [Heard] = []
        var malformed = 0
    }

    /// A change to be written.
    struct Write: Sendable {
        /// Nil: the store gives it one.
        var version: ItemVersion?
        /// Nil: it was written before, and is missing.
        var token: UInt64?
        var change: ItemChange
    }

    enum Written: Sendable, Equatable {
        case at(ItemVersion)
        /// The same, or what came later, is there.
        case held
        /// The token was written before, and others came later.
        case outdated
    }

    let client: RedisClient
    private let states: [UInt8]
    private let changes: [UInt8]
    private let keys: RemoteKeys
    private let timeout: Duration

    init(_ client: RedisClient, prefix: String, timeout: Duration) {
        self.client = client
        self.timeout = timeout
        keys = RemoteKeys(namespace: prefix, kind: "items", version: 1, spreads: false)
        states = keys.key(Array("states".utf8))
        changes = keys.key(Array("changes".utf8))
    }

    private func run(
        _ script: String, _ keys: [[UInt8]], _ words: [[UInt8]], isWrite: Bool,
        _ completion: @escaping (RedisResult) -> Void
    ) {
        let head = ["EVAL", script, String(keys.count)].map { Array($0.utf8) }
        client.send(
            RedisCommand(head + keys + words, key: 3, isWrite: isWrite), timeout: timeout, completion: completion)
    }

    private static func word(_ number: Int) -> [UInt8] { Array(String(number).utf8) }
    private static func word(_ version: ItemVersion) -> [UInt8] { Array(version.description.utf8) }

    // MARK: Reading

    /// Entries after `position`; after `link`, where the stream ends before that.
    func poll(
        after position: ItemVersion, link: ItemVersion, completion: @escaping (Result<Poll, RedisFailure>) -> Void
    ) {
        let words = [
            Self.word(position), Self.word(link), Self.word(Self.pollMax), Self.word(SharedItemValue.bytesMax),
            Self.word(Self.replyBytesMax),
        ]
        run(SharedItemScripts.poll, [states, changes], words, isWrite: false) { [states] result in
            completion(
                result.flatMap { reply in
                    guard let parts = reply.array, parts.count == 4, let history = parts[0].text,
                        let hasMore = parts[2].integer, let entries = parts[3].array
                    else { return .failure(.unexpectedReply) }
                    if history.isEmpty { return .success(Poll()) }
                    var poll = Poll()
                    // A history that is no number is another's: what it is of is read anew.
                    poll.history = UInt64(history, radix: 16) ?? 0
                    poll.last = parts[1].text.flatMap { ItemVersion($0) } ?? .zero
                    poll.hasMore = hasMore != 0
                    for entry in entries {
                        guard let words = entry.array, words.count == 4,
                            let id = words[0].text.flatMap({ ItemVersion($0) })
                        else { continue }
                        poll.entries.append(Self.entry(id, words, states))
                    }
                    return .success(poll)
                })
        }
    }

    private static func entry(_ id: ItemVersion, _ words: [RedisReply], _ states: [UInt8]) -> Entry {
        var entry = Entry(id: id, previous: words[1].text.flatMap { ItemVersion($0) })
        let version = words[2].text.flatMap { $0.isEmpty ? id : ItemVersion($0) }
        if let version, let bytes = words[3].bytes, let value = SharedItemValue(bytes, key: states) {
            entry.heard = Heard(version: version, author: value.author, token: value.token, change: value.change)
        }
        return entry
    }

    /// A part of all that is known of items.
    func scan(_ cursor: String, completion: @escaping (Result<Page, RedisFailure>) -> Void) {
        let words = [
            Array(cursor.utf8), Self.word(Self.scanCount), Self.word(SharedItemValue.bytesMax + 64),
            Self.word(Self.replyBytesMax),
        ]
        run(SharedItemScripts.scan, [states], words, isWrite: false) { [self] result in
            guard case .success(let reply) = result else { return completion(result.map { _ in Page() }) }
            guard let parts = reply.array, parts.count == 2, let next = parts[0].text, let words = parts[1].array,
                words.count.isMultiple(of: 2)
            else { return completion(.failure(.unexpectedReply)) }
            var page = Page(cursor: next == "0" ? nil : next)
            var alone: [[UInt8]] = []
            for place in stride(from: 0, to: words.count, by: 2) {
                guard let field = words[place].bytes, let value = words[place + 1].bytes else { continue }
                if field.starts(with: Array("m:".utf8)) { continue }
                if value.isEmpty {
                    alone.append(field)
                } else {
                    take(value, of: field, into: &page)
                }
            }
            askAlone(alone[...], page, completion)
        }
    }

    private func askAlone(
        _ fields: ArraySlice<[UInt8]>, _ page: Page, _ completion: @escaping (Result<Page, RedisFailure>) -> Void
    ) {
        guard let field = fields.first else { return completion(.success(page)) }
        run(SharedItemScripts.one, [states], [field, Self.word(SharedItemValue.bytesMax + 64)], isWrite: false) {
            [self] result in
            switch result {
            case .success(let reply):
                var page = page
                if let value = reply.bytes { take(value, of: field, into: &page) }
                askAlone(fields.dropFirst(), page, completion)
            case .failure(let failure): completion(.failure(failure))
            }
        }
    }

    private func take(_ value: [UInt8], of field: [UInt8], into page: inout Page) {
        guard let space = value.prefix(64).firstIndex(of: UInt8(ascii: " ")),
            let version = ItemVersion(String(decoding: value[..<space], as: UTF8.self)),
            let sound = SharedItemValue(Array(value[(space + 1)...]), key: states),
            field.first == SharedItemValue.part(of: sound.change),
            field.dropFirst().elementsEqual(sound.change.item.utf8)
        else {
            page.malformed += 1
            return
        }
        page.heard.append(
            Heard(version: version, author: sound.author, token: sound.token, change: sound.change))
    }

    // MARK: Writing

    /// Writes changes in their order, all of them or, where it fails, perhaps some.
    ///
    /// - Parameter history: Begun where there is none.
    func write(
        _ writes: [Write], by author: UInt64, history: UInt64,
        completion: @escaping (Result<(history: UInt64, written: [Written]), RedisFailure>) -> Void
    ) {
        let name = keys.key(Array("author:\(String(author, radix: 16))".utf8))
        var words = [
            Array(String(history, radix: 16).utf8), Self.word(Self.entriesKept), Self.word(Self.authorSeconds),
        ]
        for write in writes {
            let value = SharedItemValue(author: author, token: write.token ?? 0, change: write.change)
            words.append([SharedItemValue.part(of: write.change)])
            words.append(Array(write.change.item.utf8))
            words.append(write.version.map(Self.word) ?? [])
            words.append(write.token.map { Array(String($0).utf8) } ?? [])
            words.append(value.encoded(for: states))
        }
        run(SharedItemScripts.write, [states, changes, name], words, isWrite: true) { result in
            completion(
                result.flatMap { reply in
                    guard let parts = reply.array, parts.count == writes.count + 1,
                        let history = parts[0].text
                    else { return .failure(.unexpectedReply) }
                    var written: [Written] = []
                    for part in parts.dropFirst() {
                        switch part.text {
                        case "held"?: written.append(.held)
                        case "outdated"?: written.append(.outdated)
                        case let text?:
                            guard let version = ItemVersion(text) else { return .failure(.unexpectedReply) }
                            written.append(.at(version))
                        case nil: return .failure(.unexpectedReply)
                        }
                    }
                    return .success((UInt64(history, radix: 16) ?? 0, written))
                })
        }
    }

    /// Takes restorations away that nobody needs to know of any more.
    func forget(_ old: [Heard], completion: @escaping () -> Void) {
        if old.isEmpty { return completion() }
        var words: [[UInt8]] = []
        for heard in old {
            words.append([SharedItemValue.part(of: heard.change)] + Array(heard.change.item.utf8))
            words.append(Self.word(heard.version))
        }
        run(SharedItemScripts.forget, [states], words, isWrite: true) { _ in completion() }
    }
}
