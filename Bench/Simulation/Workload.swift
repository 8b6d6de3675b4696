import Glibc
import LoadBalancing
import Vocabulary

/// Who calls: users of whom few call often (Zipf), and the slots they live in.
package struct Workload: Sendable {
    private let slots: [Slot]
    private let cumulative: [Double]

    package init(users: Int, skew: Double) {
        slots = (0..<users).map { Slot(user: "user-\($0)") }
        var sum = 0.0
        var cumulative: [Double] = []
        for user in 0..<users {
            sum += pow(Double(user + 1), -skew)
            cumulative.append(sum)
        }
        self.cumulative = cumulative.map { $0 / sum }
    }

    package func slot(_ random: inout RandomSource) -> Slot {
        let point = random.unit()
        var low = 0
        var high = cumulative.count - 1
        while low < high {
            let middle = (low + high) / 2
            if cumulative[middle] < point { low = middle + 1 } else { high = middle }
        }
        return slots[low]
    }
}

extension RandomSource {
    /// Exponentially distributed with mean 1.
    mutating func exponential() -> Double { -log(1 - unit()) }

    /// Log-normal with median 1 (Box-Muller).
    mutating func logNormal(spread: Double) -> Double {
        let radius = (-2 * log(1 - unit())).squareRoot()
        return exp(spread * radius * cos(2 * Double.pi * unit()))
    }
}
