/// Asks again and again until the answer is yes or the time is up.
struct Polling {
    private static let pause: Duration = .milliseconds(100)

    let patience: Duration
    /// Time since the first question.
    let elapsed: () -> Duration
    var sleep: (Duration) async throws -> Void = { try await Task.sleep(for: $0) }

    init(patience: Duration, elapsed: @escaping () -> Duration) {
        self.patience = patience
        self.elapsed = elapsed
    }

    /// - Parameter isDone: Told how much time is left; above zero.
    /// - Returns: Whether the answer was yes.
    func run(_ isDone: (Duration) async -> Bool) async throws -> Bool {
        while true {
            let left = patience - elapsed()
            guard left > .zero else { return false }
            if await isDone(left) { return true }
            try await sleep(min(Self.pause, left))
        }
    }
}
