import Catalog
import NearestNeighbors
import TestSupport
import Testing

@testable import Retrieval

@Suite(.ownThreads) struct ItemAvailabilityTests {
    private func availability(_ windows: [AvailabilityWindow]) throws -> ItemAvailability {
        let details = try ItemDetailColumns([], windows: { windows[Int($0)] }, itemCount: windows.count)
        return ItemAvailability(try #require(details.availability))
    }

    @Test(arguments: [0, 1, 64, 500])
    func `At each moment the items inside their window are there, whichever way the clock goes`(count: Int) throws {
        var random = SeededGenerator(seed: 41)
        let windows = (0..<count).map { _ in
            let from = Int64.random(in: 0...60, using: &random)
            return AvailabilityWindow(
                from: Int.random(in: 0...2, using: &random) == 0 ? nil : from,
                until: Int.random(in: 0...2, using: &random) == 0
                    ? nil : from + Int64.random(in: 1...30, using: &random))
        }
        let availability = try availability(windows)
        var now: Int64 = 10
        for step in 0..<500 {
            // Mostly on by a second, sometimes far, to either side.
            now += step % 7 == 0 ? Int64.random(in: -90...90, using: &random) : 1
            let moment = availability.moment(at: now)
            #expect(moment.holds(at: now))
            let expected = windows.indices.filter { row in
                (windows[row].from.map { $0 <= now } ?? true) && (windows[row].until.map { now < $0 } ?? true)
            }
            #expect(moment.rows.rows == Set(expected))
            #expect(moment.rows.count == expected.count)
        }
    }

    @Test func `Between two boundaries it is the same bitmap`() throws {
        let availability = try availability([
            AvailabilityWindow(from: 100, until: 200), AvailabilityWindow(), AvailabilityWindow(until: 150),
        ])
        let first = availability.moment(at: 100)
        #expect(first.seconds == 100...149)
        #expect(availability.moment(at: 149).rows === first.rows)
        let second = availability.moment(at: 150)
        #expect(second.rows.rows == [0, 1] && second.seconds == 150...199)
        #expect(availability.moment(at: 1_000_000).seconds == 200 ... .max)
        #expect(availability.moment(at: 3).seconds == .min...99)
        #expect(availability.moment(at: .max).rows.rows == [1])
    }
}

@Suite(.ownThreads) struct EligibilityMaskBitmapTests {
    @Test func `It holds what is in both bitmaps and not blocked, however many were blocked before`() {
        var random = SeededGenerator(seed: 42)
        for count in [0, 1, 63, 64, 65, 1000, 5000] {
            let mask = EligibilityMask(itemCount: count)
            func bitmap() -> RowBitmap {
                RowBitmap(rowCount: count) { words in
                    for index in words.indices { words[index] = UInt64.random(in: 0 ... .max, using: &random) }
                }
            }
            let bitmaps = [bitmap(), bitmap(), nil]
            for _ in 0..<60 {
                let available = bitmaps[Int.random(in: 0..<3, using: &random)]
                let filter = bitmaps[Int.random(in: 0..<3, using: &random)]
                mask.begin(available: available, filter: filter)
                var eligible = Set(0..<UInt32(count)).filter {
                    available?.contains($0) ?? true && filter?.contains($0) ?? true
                }
                for _ in 0..<2 {
                    let most = [3, 12, 2 * count][Int.random(in: 0..<3, using: &random)]
                    let rows = (0..<Int.random(in: 0...most, using: &random)).map { _ in
                        UInt32.random(in: 0..<UInt32(count + 10), using: &random)
                    }
                    if Bool.random(using: &random) {
                        rows.withUnsafeBufferPointer { mask.block($0) }
                    } else {
                        for row in rows { mask.block(row) }
                    }
                    eligible.subtract(rows)
                }
                #expect(mask.eligibleCount == eligible.count)
                #expect((0..<UInt32(count)).allSatisfy { mask.isEligible($0) == eligible.contains($0) })
            }
        }
    }
}
