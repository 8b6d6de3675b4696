import Vocabulary

/// What one order gains over another, user by user.
package struct PairedDifference: Sendable, Equatable {
    /// Users compared.
    package var users: Int
    package var mean: Double
    /// Of the mean; 0 with fewer than two users.
    package var standardError: Double

    /// Fewer users than this say nothing, whatever they say.
    package static let usersMin = 100
    /// Standard errors that the mean must exceed: one-sided confidence of 95 %.
    package static let confidenceFactor = 1.645

    package init(_ differences: some Collection<Double>) {
        users = differences.count
        let n = Double(max(users, 1))
        let mean = differences.reduce(0, +) / n
        self.mean = mean
        let squares = differences.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        standardError = users > 1 ? (squares / (n - 1) / n).squareRoot() : 0
    }

    /// What the mean must exceed.
    package var margin: Double { Self.confidenceFactor * standardError }
    package var hasEnoughUsers: Bool { users >= Self.usersMin }
    /// `+0.0123 with a standard error of 0.0045 over 1200 users`
    package var words: String {
        "\(mean < 0 ? "" : "+")\(mean.text(digits: 4)) with a standard error of \(standardError.text(digits: 4)) over \(users.counted("user"))"
    }

    /// Whether the first order is better beyond what chance would do.
    package var isGain: Bool { hasEnoughUsers && mean > margin }
}
