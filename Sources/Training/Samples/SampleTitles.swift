/// Invents film titles with genres. Any likeness to a real film is chance.
struct SampleTitles {
    static let genres = [
        "Adventure", "Animation", "Comedy", "Crime", "Documentary", "Drama", "Fantasy", "Mystery", "Romance",
        "Science Fiction", "Thriller", "Western",
    ]

    /// A language, the first ones more often.
    static func language(_ random: inout SplitMix64) -> String {
        let place = Int(random.unit() * random.unit() * Double(languages.count))
        return languages[min(place, languages.count - 1)]
    }

    private static let languages = [
        "English", "French", "Spanish", "Japanese", "Korean", "German", "Portuguese", "Hindi",
    ]

    private static let openings = [
        "Quiet", "Last", "Crooked", "Silver", "Hollow", "Burning", "Forgotten", "Northern", "Second", "Paper", "Amber",
        "Restless", "Borrowed", "Midnight", "Gentle", "Broken", "Distant", "Salted", "Velvet", "Ninth", "Wandering",
        "Iron",
        "Golden", "Unwritten", "Blue", "Patient", "Hidden", "Scarlet", "Winter", "Little",
    ]
    private static let places = [
        "Harrow Bay", "Lisbon", "the Salt Flats", "Orrin Street", "the Eastern Line", "Kestrel Island", "Marrow Creek",
        "the Glass Hotel", "Vienna", "Tarn Valley", "the Third Moon", "Port Amity", "the Delta", "Calder Ridge",
        "the Long Pier", "Ostrava", "the Old Quarter", "Juniper Hill",
    ]
    private static let names = [
        "Mara", "Anselm", "Josephine", "Tobias", "Ines", "Wendell", "Ottoline", "Rafael", "Greta", "Casimir", "Noor",
        "Philippa", "Emeric", "Saoirse", "Ludo", "Beatrix",
    ]
    /// Words that fit a genre, in the order of `genres`.
    private static let nouns = [
        ["Expedition", "Compass", "Crossing", "Summit", "Voyage", "Map"],
        ["Kite", "Hedgehog", "Lighthouse", "Toymaker", "Balloon", "Puddle"],
        ["Wedding", "Landlord", "Misunderstanding", "Cousin", "Picnic", "Understudy"],
        ["Heist", "Alibi", "Ledger", "Informant", "Getaway", "Verdict"],
        ["Harvest", "Glacier", "Orchestra", "Apprentices", "River", "Archive"],
        ["Inheritance", "Letter", "Daughter", "Orchard", "Promise", "Silence"],
        ["Lantern", "Dragonfly", "Crown", "Spell", "Forest", "Mirror"],
        ["Cipher", "Lodger", "Footprint", "Witness", "Key", "Portrait"],
        ["Summer", "Waltz", "Postcard", "Balcony", "Heart", "Stranger"],
        ["Orbit", "Signal", "Colony", "Machine", "Horizon", "Satellite"],
        ["Deadline", "Passenger", "Frequency", "Hour", "Threshold", "Shadow"],
        ["Spur", "Marshal", "Homestead", "Canyon", "Railroad", "Saddle"],
    ]
    private static let numerals = ["II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X"]

    private var used: [String: Int] = [:]

    /// A title nobody has had yet, for a film of `genre` of that year.
    mutating func next(genre: Int, year: Int, _ random: inout SplitMix64) -> String {
        let noun = SampleTitles.pick(SampleTitles.nouns[genre], &random)
        let opening = SampleTitles.pick(SampleTitles.openings, &random)
        let base: String =
            switch random.next() % 6 {
            case 0: "The \(opening) \(noun)"
            case 1: "The \(noun) of \(SampleTitles.pick(SampleTitles.places, &random))"
            case 2: "\(SampleTitles.pick(SampleTitles.names, &random))'s \(noun)"
            case 3: "\(opening) \(noun)"
            case 4: "A \(noun) in \(SampleTitles.pick(SampleTitles.places, &random))"
            default: "\(SampleTitles.pick(SampleTitles.names, &random)) and the \(opening) \(noun)"
            }
        let part = used[base, default: 0]
        used[base] = part + 1
        let numbered =
            part == 0
            ? base
            : part <= SampleTitles.numerals.count ? "\(base) \(SampleTitles.numerals[part - 1])" : "\(base) \(part + 1)"
        return "\(SampleTitles.grammatical(numbered)) (\(year))"
    }

    /// "A Orbit" is "An Orbit".
    private static func grammatical(_ title: String) -> String {
        guard title.hasPrefix("A "), let first = title.dropFirst(2).first, "AEIOU".contains(first) else { return title }
        return "An " + title.dropFirst(2)
    }

    private static func pick(_ words: [String], _ random: inout SplitMix64) -> String {
        words[Int(random.next() % UInt64(words.count))]
    }
}
