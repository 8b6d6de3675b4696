import Foundation

extension JSONValue {
    /// What `value` encodes to.
    ///
    /// - Throws: `EncodingError`, also when a number in it is infinite or not a number.
    package init(encoding value: some Encodable) throws {
        let encoder = JSONEncoder()
        let data = try encoder.encode(value)
        self = try JSONText.parse(Array(data))
    }

    /// Decodes a value that has a Swift type.
    package func decoded<T: Decodable>(as type: T.Type = T.self) throws -> T {
        try JSONDecoder().decode(type, from: Data(JSONText.print(self, indented: false).utf8))
    }
}
