import TestSupport
import Testing

@testable import Serving

@Suite struct AnswerOriginTests {
    @Test(
        "equal knowledge has an equal fingerprint in any order of what is blocked, and other knowledge another",
        arguments: 0..<300)
    func fingerprint(seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        var knowledge = LiveUsers.Knowledge()
        #expect(knowledge.fingerprint == 0)
        knowledge.isKnown = true
        let bare = knowledge.fingerprint
        #expect(bare != 0)
        knowledge.liked = (0..<Int.random(in: 1...20, using: &generator)).map { _ in
            UInt32.random(in: 0...999, using: &generator)
        }
        knowledge.weights = knowledge.liked.map { _ in Float.random(in: 0.1...2, using: &generator) }
        knowledge.blocked = (0..<Int.random(in: 1...40, using: &generator)).map { _ in
            UInt32.random(in: 0...999, using: &generator)
        }
        let whole = knowledge.fingerprint
        var same = knowledge
        same.blocked.shuffle(using: &generator)
        same.blocked.append(same.blocked[0])
        #expect(same.fingerprint == whole, "seed \(seed)")
        var other = knowledge
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: other.liked[0] ^= 1
        case 1: other.weights[0] *= 2
        case 2: other.blocked.append(1000)
        default:
            // Liked, and not to be shown: not the same.
            other.blocked.append(other.liked.removeLast() + 2000)
            other.weights.removeLast()
        }
        #expect(other.fingerprint != whole, "seed \(seed)")
        #expect(bare != whole, "seed \(seed)")
    }
}
