//! Undo and redo of what is looked at.
//!
//! Steps of the cursor that follow each other are one step here: who walked through a hundred records
//! wants to be back where the walk began.

use super::command::{Command, Commands};
use crate::model::moment::Moment;
use std::collections::VecDeque;

/// The most moments that are remembered.
const MOST: usize = 200;

/// What was looked at before, and what was undone.
#[derive(Clone, Debug, Default)]
pub struct History {
    past: VecDeque<Moment>,
    future: Vec<Moment>,
    walks: bool,
}

impl History {
    /// Remembers that what is looked at has changed.
    pub fn changed(&mut self, before: Moment, now: &Moment) {
        if before == *now {
            return;
        }
        let walks = before.differs_by_cursor_alone(now);
        if !(walks && self.walks) {
            self.past.push_back(before);
        }
        if self.past.len() > MOST {
            self.past.pop_front();
        }
        self.walks = walks;
        self.future.clear();
    }

    /// Forgets all: another trace is open.
    pub fn clear(&mut self) {
        *self = History::default();
    }

    /// The moment before, if there is one.
    pub fn undo(&mut self, now: Moment) -> Option<Moment> {
        let before = self.past.pop_back()?;
        self.future.push(now);
        self.walks = false;
        Some(before)
    }

    /// The moment that was undone last, if nothing has changed since.
    pub fn redo(&mut self, now: Moment) -> Option<Moment> {
        let after = self.future.pop()?;
        self.past.push_back(now);
        self.walks = false;
        Some(after)
    }
}

/// What leads from one moment to another.
pub fn way(from: &Moment, to: &Moment) -> Commands {
    let mut commands = Commands::new();
    if from.shown != to.shown {
        commands.push(Command::Show(to.shown));
    }
    if from.sorting != to.sorting {
        commands.push(Command::Arrange(to.sorting));
    }
    if from.range != to.range {
        commands.push(Command::Select(to.range));
    }
    if from.filter != to.filter {
        commands.push(Command::Filter(to.filter));
    }
    if from.cursor != to.cursor {
        commands.push(Command::Point(to.cursor));
    }
    if from.is_alone != to.is_alone {
        commands.push(Command::Alone(to.is_alone));
    }
    if from.front != to.front {
        commands.push(Command::Look(to.front));
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::apply::apply;
    use crate::model::Model;
    use crate::model::bins::Column;
    use crate::model::view::View;
    use malloscope_replayer::filter::Filter;

    /// A model whose changes are remembered.
    #[derive(Default)]
    struct Walker {
        model: Model,
        history: History,
    }

    impl Walker {
        fn does(&mut self, command: Command) {
            let before = Moment::of(&self.model);
            apply(&mut self.model, command);
            self.history.changed(before, &Moment::of(&self.model));
        }

        fn goes(&mut self, to: Option<Moment>) -> bool {
            let Some(to) = to else { return false };
            way(&Moment::of(&self.model), &to).into_iter().for_each(|command| {
                apply(&mut self.model, command);
            });
            assert_eq!(Moment::of(&self.model), to);
            true
        }

        fn undoes(&mut self) -> bool {
            let to = self.history.undo(Moment::of(&self.model));
            self.goes(to)
        }

        fn redoes(&mut self) -> bool {
            let to = self.history.redo(Moment::of(&self.model));
            self.goes(to)
        }
    }

    #[test]
    fn every_change_of_what_is_looked_at_is_taken_back_and_made_again() {
        let mut walker = Walker::default();
        let changes = [
            Command::Point(Some(7)),
            Command::Select(Some((3, 9))),
            Command::Look(View::Bins),
            Command::Alone(true),
            Command::Sort(Column::Hits),
            Command::Filter(Filter { thread: Some(3), ..Filter::default() }),
        ];
        let mut moments = vec![Moment::of(&walker.model)];
        for change in changes {
            walker.does(change);
            moments.push(Moment::of(&walker.model));
        }
        for expected in moments.iter().rev().skip(1) {
            assert!(walker.undoes());
            assert_eq!(Moment::of(&walker.model), *expected);
        }
        assert!(!walker.undoes());
        for expected in &moments[1..] {
            assert!(walker.redoes());
            assert_eq!(Moment::of(&walker.model), *expected);
        }
        assert!(!walker.redoes());
    }

    #[test]
    fn a_walk_of_the_cursor_is_one_step() {
        let mut walker = Walker::default();
        walker.does(Command::Select(Some((0, 100))));
        (0..50).for_each(|record| walker.does(Command::Point(Some(record))));
        assert!(walker.undoes());
        assert_eq!((walker.model.cursor, walker.model.range), (None, Some((0, 100))));
        walker.does(Command::Point(Some(3)));
        assert!(!walker.redoes(), "what was undone is no more once something else is done");
        assert!(walker.undoes() && walker.undoes() && !walker.undoes());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut walker = Walker::default();
        (0..1000).for_each(|end| walker.does(Command::Select(Some((0, end + 1)))));
        let mut undone = 0;
        while walker.undoes() {
            undone += 1;
        }
        assert_eq!(undone, MOST);
    }
}
