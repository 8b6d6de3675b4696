import Testing

@testable import Vocabulary

@Suite("PartitionMap")
struct PartitionMapTests {
    @Test("hashes as the xxHash reference does")
    func referenceVectors() {
        #expect(XXH64.hash("") == 0xEF46_DB37_51D8_E999)
        #expect(XXH64.hash("a") == 0xD24E_C4F1_A98C_6E5B)
        #expect(XXH64.hash("abc") == 0x44BC_2CF5_AD77_0999)
        #expect(
            XXH64.hash("Nobody inspects the spammish repetition") == 0xFBCE_A83C_8A37_8BF1)
    }

    @Test("every slot has one owner, owners are contiguous and even", arguments: [1, 2, 3, 7, 16, 100, 16384])
    func slotsAreDealtEvenly(shardCount: Int) {
        let map = PartitionMap(shardCount: shardCount)
        var next = 0
        for shard in 0..<shardCount {
            let slots = map.slots(of: shard)
            #expect(slots.lowerBound == next)
            #expect(slots.count >= Slot.count / shardCount)
            #expect(slots.count <= Slot.count / shardCount + 1)
            for slot in slots { #expect(map.shard(of: Slot(UInt16(slot))) == shard) }
            next = slots.upperBound
        }
        #expect(next == Slot.count)
    }
}
