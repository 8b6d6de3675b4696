/// Shows on standard error how far a piece of work has come: a bar that is redrawn on a terminal, now and then a plain line
/// where output goes to a file.
final class ProgressLine {
    private let label: String
    private let isTerminal: Bool
    private let started = ContinuousClock.now
    private var shownAt: ContinuousClock.Instant?
    private var barIsShown = false
    private static let barWidth = 24

    init(_ label: String) {
        self.label = label
        isTerminal = StandardError.isTerminal
    }

    /// Shows `fraction` (of 1; nil: of an unknown whole) and `detail`; at most ten times a second, in a file every ten
    /// seconds.
    func update(_ fraction: Double?, _ detail: @autoclosure () -> String = "") {
        let now = ContinuousClock.now
        let interval: Duration = isTerminal ? .milliseconds(100) : .seconds(10)
        if now - (shownAt ?? (isTerminal ? started - interval : started)) < interval { return }
        shownAt = now
        guard let fraction = fraction.map({ min(max($0, 0), 1) }) else {
            write(isTerminal ? "\r\u{1B}[2K\(label)  \(detail())" : "\(label): \(detail())\n")
            barIsShown = isTerminal
            return
        }
        let percent = "\(Int(fraction * 100))%"
        let detail = detail()
        let suffix = [detail, remaining(fraction, now)].filter { !$0.isEmpty }.joined(separator: ", ")
        if isTerminal {
            let filled = Int(fraction * Double(ProgressLine.barWidth))
            let bar =
                String(repeating: "=", count: filled) + String(repeating: " ", count: ProgressLine.barWidth - filled)
            write("\r\u{1B}[2K\(label) [\(bar)] \(percent)\(suffix.isEmpty ? "" : "  " + suffix)")
            barIsShown = true
        } else {
            write("\(label): \(percent)\(suffix.isEmpty ? "" : ", " + suffix)\n")
        }
    }

    /// Takes the bar away and says what came of it.
    func finish(_ summary: String) {
        clear()
        write("\(label): \(summary) (\(Self.seconds(ContinuousClock.now - started)))\n")
    }

    /// Says something beside the bar.
    func note(_ text: String) {
        clear()
        write(text + "\n")
    }

    /// Takes the bar away.
    func clear() {
        if barIsShown { write("\r\u{1B}[2K") }
        barIsShown = false
    }

    private func remaining(_ fraction: Double, _ now: ContinuousClock.Instant) -> String {
        let spent = now - started
        let isEarly = fraction <= 0.02 || spent <= .seconds(1)
        if isEarly || fraction >= 1 { return "" }
        return "\(Self.seconds(spent * ((1 - fraction) / fraction))) left"
    }

    /// "850 ms", "12.3 s", "4 min 05 s".
    static func seconds(_ duration: Duration) -> String {
        let milliseconds = duration / .milliseconds(1)
        switch milliseconds {
        case ..<1000: return "\(Int(milliseconds)) ms"
        case ..<100_000: return "\(Double(Int(milliseconds / 100)) / 10) s"
        default:
            let total = Int(milliseconds / 1000)
            let rest = total % 60
            return "\(total / 60) min \(rest < 10 ? "0" : "")\(rest) s"
        }
    }

    private func write(_ text: String) { StandardError.write(text) }
}
