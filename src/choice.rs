//! Arguments that are one of a list.

/// An argument that is one of what `ALL` of a type lists, called by its `name`; `$help` says what one means.
macro_rules! choice {
    ($(#[$about:meta])* $argument:ident of $choice:ident, $help:expr) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug)]
        struct $argument($choice);

        impl clap::ValueEnum for $argument {
            fn value_variants<'a>() -> &'a [$argument] {
                const ALL: [$argument; $choice::ALL.len()] = {
                    let mut all = [$argument($choice::ALL[0]); $choice::ALL.len()];
                    let mut number = 0;
                    while number < all.len() {
                        all[number] = $argument($choice::ALL[number]);
                        number += 1;
                    }
                    all
                };
                &ALL
            }

            fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
                let help: fn($choice) -> &'static str = $help;
                Some(clap::builder::PossibleValue::new(self.0.name()).help(help(self.0)))
            }
        }
    };
}

pub(crate) use choice;
