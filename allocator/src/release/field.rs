//! One thing about a release, by its name: distributions back-port changes, so that their glibc may be
//! one release but for a field.

use super::{
    ArenaLimit, Assertions, CheckHooks, Complaints, GreatestRequest, KeptByRealloc, LargeTcache, MappedHead,
    Release, Remainders, TcacheMade,
};
use crate::corruption::{FreedChecks, UnsortedChecks};
use crate::tunables::environment::Reader;
use crate::tunables::{Known, Tunable};
use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A field of a [`Release`], to be read and set as text.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// What it is called: `arena_limit`.
    pub name: &'static str,
    get: fn(&Release) -> String,
    set: fn(&mut Release, &str) -> bool,
    values: fn() -> String,
}

impl Field {
    /// Every field that can be set.
    pub fn all() -> &'static [Field] {
        FIELDS
    }

    /// The field of this name.
    pub fn named(name: &str) -> Option<Field> {
        FIELDS.iter().copied().find(|field| field.name == name)
    }

    /// What the release has there.
    pub fn get(&self, release: &Release) -> String {
        (self.get)(release)
    }

    /// Sets what the release has there. Returns whether the text is a value.
    pub fn set(&self, release: &mut Release, value: &str) -> bool {
        (self.set)(release, value)
    }

    /// What can be said, for people: `yes or no`.
    pub fn values(&self) -> String {
        (self.values)()
    }
}

/// What a field may hold, as text.
trait Value: Sized {
    fn read(text: &str) -> Option<Self>;
    fn write(&self) -> String;
    fn values() -> String;
}

impl Value for u64 {
    fn read(text: &str) -> Option<u64> {
        match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        }
    }

    fn write(&self) -> String {
        self.to_string()
    }

    fn values() -> String {
        "a number".to_owned()
    }
}

/// Values that have names.
macro_rules! named {
    ($type:ty { $($value:expr => $name:literal,)* }) => {
        impl Value for $type {
            fn read(text: &str) -> Option<$type> {
                match text {
                    $($name => Some($value),)*
                    _ => None,
                }
            }

            fn write(&self) -> String {
                let names = [$(($value, $name)),*];
                names.iter().find(|(value, _)| value == self).map_or("", |&(_, name)| name).to_owned()
            }

            fn values() -> String {
                [$($name),*].join(" or ")
            }
        }
    };
}

named!(bool {
    true => "yes",
    false => "no",
});
named!(GreatestRequest {
    GreatestRequest::AddressSpace => "address_space",
    GreatestRequest::ChunkInAddressSpace => "chunk_in_address_space",
    GreatestRequest::HalfAddressSpace => "half_address_space",
});
named!(TcacheMade {
    TcacheMade::Never => "never",
    TcacheMade::AtFirstCall => "first_call",
    TcacheMade::AtFirstRequest => "first_request",
    TcacheMade::AtFirstFree => "first_free",
});
named!(LargeTcache {
    LargeTcache::None => "none",
    LargeTcache::NoShorter => "no_shorter",
    LargeTcache::Exact => "exact",
});
named!(KeptByRealloc {
    KeptByRealloc::Nothing => "nothing",
    KeptByRealloc::WithinTrimThreshold => "trim_threshold",
    KeptByRealloc::WithinPaddingOrPage => "padding_or_page",
    KeptByRealloc::WithinPadding => "padding",
});
named!(Remainders {
    Remainders::Freed => "freed",
    Remainders::Merged => "merged",
    Remainders::MergedChunks => "merged_chunks",
});
named!(MappedHead {
    MappedHead::ToTheEnd => "to_the_end",
    MappedHead::LikeOthers => "like_others",
});
named!(FreedChecks {
    FreedChecks::PlaceAndSize => "place_and_size",
    FreedChecks::PlaceFirst => "place_first",
});
named!(UnsortedChecks {
    UnsortedChecks::Size => "size",
    UnsortedChecks::SizeAndLink => "size_and_link",
    UnsortedChecks::All => "all",
});
named!(ArenaLimit {
    ArenaLimit::EightEachOnline => "online",
    ArenaLimit::EightEachAllowed => "affinity",
    ArenaLimit::OneEachOnline => "one_each",
});

named!(CheckHooks {
    CheckHooks::Absent => "absent",
    CheckHooks::Spoiling => "spoiling",
    CheckHooks::Mending => "mending",
});
named!(Complaints {
    Complaints::Framed => "framed",
    Complaints::Plain => "plain",
});
named!(Assertions {
    Assertions::OfProgram => "of_program",
    Assertions::OfProgramUntagged => "of_program_untagged",
    Assertions::OfMalloc => "of_malloc",
    Assertions::OfLibrary => "of_library",
});
named!(Reader {
    Reader::Variables => "variables",
    Reader::Lenient => "lenient",
    Reader::Strict => "strict",
    Reader::VariablesLast => "variables_last",
    Reader::StringFirst => "string_first",
});

impl Value for Known {
    fn read(text: &str) -> Option<Known> {
        let names = text.split('+').filter(|name| !name.is_empty());
        names.map(Tunable::named).try_fold(Known::NONE, |known, tunable| Some(known.with(tunable?)))
    }

    fn write(&self) -> String {
        let known = Tunable::all().filter(|tunable| self.has(*tunable)).map(Tunable::name);
        known.collect::<Vec<_>>().join("+")
    }

    fn values() -> String {
        "names of tunables with + between them".to_owned()
    }
}

macro_rules! fields {
    ($($name:literal => $($part:ident).+,)*) => {
        /// In the order of the structure.
        const FIELDS: &[Field] = &[$(Field {
            name: $name,
            get: |release| Value::write(&release.$($part).+),
            set: |release, text| match Value::read(text) {
                Some(value) => {
                    release.$($part).+ = value;
                    true
                }
                None => false,
            },
            values: || values_of(|release: &Release| &release.$($part).+),
        }),*];
    };
}

/// What can be said of a field that this function finds.
fn values_of<T: Value>(_: fn(&Release) -> &T) -> String {
    T::values()
}

fields! {
    "malloc_state_ints" => malloc_state_ints,
    "heap_info_words" => heap_info_words,
    "alignment_of_32_bits" => alignment_of_32_bits,
    "greatest_request" => greatest_request,
    "malloc_refuses_early" => refuses_early.malloc,
    "calloc_refuses_early" => refuses_early.calloc,
    "memalign_refuses_early" => refuses_early.memalign,
    "single_thread_path" => has_single_thread_path,
    "tcache_made" => tcache.made,
    "tcache_count_bytes" => tcache.count_bytes,
    "tcache_is_padded_twice" => tcache.is_padded_twice,
    "tcache_count" => tcache.count,
    "tcache_excludes_greatest" => tcache.excludes_greatest,
    "tcache_large" => tcache.large,
    "tcache_serves_wrapped" => tcache.serves_wrapped,
    "tcache_serves_calloc" => tcache.serves_calloc,
    "tcache_serves_memalign" => tcache.serves_memalign,
    "tcache_takes_mapped" => tcache.takes_mapped,
    "tcache_is_lost_at_exit" => tcache.is_lost_at_exit,
    "fastbins" => has_fastbins,
    "safe_linking" => links_are_mangled,
    "exact_fits_are_cached" => exact_fits_are_cached,
    "small_frees_skip_unsorted" => small_frees_skip_unsorted,
    "own_frees_are_cached" => own_frees_are_cached,
    "realloc_keeps" => realloc_keeps,
    "memalign_searches_bins" => memalign.searches_bins,
    "memalign_remainders" => memalign.remainders,
    "memalign_mapped_leads_are_chunks" => memalign.mapped_leads_are_chunks,
    "first_calloc_is_malloc" => first_calloc_is_malloc,
    "aligned_alloc_wants_powers" => aligned_alloc_wants_powers,
    "pvalloc_keeps_a_bit" => pvalloc_keeps_a_bit,
    "mapped_head" => mapped_head,
    "segments_reserve_no_swap" => segments_reserve_no_swap,
    "break_fallback_rounded_to" => break_fallback.rounded_to,
    "break_fallback_at_least" => break_fallback.at_least,
    "break_fallback_counts_old_top" => break_fallback.counts_old_top,
    "check_hooks" => check_hooks,
    "complaints" => complaints,
    "assertions" => assertions,
    "corruption_can_be_survived" => corruption_can_be_survived,
    "environment" => environment,
    "tunables" => tunables,
    "tunables_are_copied_onto_break" => tunables_are_copied_onto_break,
    "mmap_threshold_is_limited" => mmap_threshold_is_limited,
    "greatest_tcache_count" => greatest_tcache_count,
    "tcache_counts_overflow" => tcache_counts_overflow,
    "mmap_max_may_be_negative" => mmap_max_may_be_negative,
    "arena_max_sets_arena_test" => arena_max_sets_arena_test,
    "huge_pages_round_where_always" => huge_pages.round_where_always,
    "huge_pages_ask_for_break" => huge_pages.ask_for_break,
    "huge_pages_make_segments" => huge_pages.segments_are_transparent,
    "huge_pages_keep_recommendations" => huge_pages.keep_recommendations,
    "huge_pages_recommend_inward" => huge_pages.recommend_inward,
    "huge_pages_four_a_segment" => huge_pages.segments_are_four_pages,
    "huge_pages_set_mmap_threshold" => huge_pages.set_mmap_threshold,
    "huge_pages_mode_is_unended" => huge_pages.mode_is_unended,
    "arena_limit" => arena_limit,
    "reused_arenas_leave_free_list" => reused_arenas_leave_free_list,
    "malloc_info_slips_in_tabs" => malloc_info.slips_in_tabs,
    "malloc_info_counts_top" => malloc_info.counts_top,
    "malloc_info_tells_segments" => malloc_info.tells_segments,
    "malloc_info_tells_fast" => malloc_info.tells_fast,
    "mallinfo2" => mallinfo2,
    "checks_freed" => checks.freed,
    "checks_cached_twice" => checks.cached_twice,
    "checks_cache_length" => checks.cache_length,
    "checks_whole_cache" => checks.whole_cache,
    "checks_links_aligned" => checks.links_aligned,
    "checks_fast_size_when_cached" => checks.fast_size_when_cached,
    "checks_fast_size_when_consolidated" => checks.fast_size_when_consolidated,
    "checks_unlinked_foot" => checks.unlinked_foot,
    "checks_merged_foot" => checks.merged_foot,
    "checks_unsorted" => checks.unsorted,
    "checks_large_links" => checks.large_links,
    "checks_largest_skip_links" => checks.largest_skip_links,
    "checks_top_size" => checks.top_size,
    "checks_mapped_place" => checks.mapped_place,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::{V2_23, V2_34, V2_35, V2_44};

    #[test]
    fn every_field_takes_what_it_gives() {
        for row in Release::ALL {
            let mut copy = V2_23;
            for field in Field::all() {
                let text = field.get(&row);
                assert!(field.set(&mut copy, &text), "{} = {text}", field.name);
                assert_eq!(field.get(&copy), text, "{}", field.name);
                assert!(!field.set(&mut copy, "nonsense"), "{}", field.name);
            }
            assert!(copy.behaves_like(&row), "{} has a field that cannot be set", row.name);
        }
    }

    #[test]
    fn a_back_port_is_one_field() {
        let mut release = V2_34;
        let field = Field::named("arena_limit").expect("it is a field");
        assert!(field.set(&mut release, "affinity"));
        assert_eq!(release.arena_limit, ArenaLimit::EightEachAllowed);
        assert_eq!(field.values(), "online or affinity or one_each");
        assert_eq!(field.get(&V2_44), "one_each");
        assert_eq!(field.get(&V2_35), "online");
    }
}
