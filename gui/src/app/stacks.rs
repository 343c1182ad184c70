//! What is done when something is asked or heard of stacks: the part of `apply` that is about them.

use crate::jobs::stacks::{Charge, Grow, List, News, Only, Scan, Slot, Sort, Source, Work};
use crate::model::allocations::{AllocationsCommand, Asked};
use crate::model::flame::picture::{Picture, Totals};
use crate::model::flame::{FlameCommand, Recipe, Source as FlameSource};
use crate::model::sites::{Order, SitesCommand, Sorted};
use crate::model::stacks::sources;
use crate::model::{Model, Tile};
use malloscope_replayer::blame::What;
use malloscope_replayer::blame::tree::{Shape, Tree};
use malloscope_replayer::filter::Filter;
use malloscope_replayer::range::Range;
use malloscope_replayer::sites::SiteTable;
use malloscope_replayer::trial::Trial;
use std::path::Path;
use std::sync::Arc;

/// What has to be done outside the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Todo {
    /// To be stopped first.
    pub stop: Vec<Slot>,
    /// To be started.
    pub start: Vec<Work>,
}

/// A user does something to the flamegraph.
pub fn flame(model: &mut Model, command: FlameCommand) -> Todo {
    let flame = &mut model.flame;
    let recipe = &mut flame.recipe;
    match command {
        FlameCommand::Want => (flame.is_wanted, flame.is_stopped) = (true, false),
        FlameCommand::Of(what) => recipe.what = what,
        FlameCommand::Compare(compares) => recipe.compares = compares,
        FlameCommand::Invert(is_inverted) => recipe.shape.is_inverted = is_inverted,
        FlameCommand::MergeRecursion(merges) => recipe.shape.merges_recursion = merges,
        FlameCommand::Focus(function) => recipe.shape.focus = function,
        FlameCommand::Hide(function) => {
            if !recipe.shape.hidden.contains(&function) {
                recipe.shape.hidden.push(function);
            }
        }
        FlameCommand::ShowAll => {
            recipe.shape = Shape { focus: None, hidden: Vec::new(), ..recipe.shape };
        }
        FlameCommand::GrowUpward(upward) => flame.grows_upward = upward,
        FlameCommand::Search(text) => {
            flame.search = text;
            if let Some(picture) = &mut flame.picture {
                picture.search(&flame.search);
            }
        }
        FlameCommand::Reveal(stack) => match &mut flame.picture {
            Some(picture) => picture.reveal(stack),
            None => flame.reveal = Some(stack),
        },
        FlameCommand::Source(shows) => flame.shows_source = shows,
        FlameCommand::Cancel => return cancel_flame(model),
        FlameCommand::Zoom(node) => in_picture(model, |picture| picture.zoom_to(node)),
        FlameCommand::Back => in_picture(model, Picture::zoom_back),
        FlameCommand::Choose(node) => in_picture(model, |picture| picture.choose(node)),
        FlameCommand::Move(direction) => in_picture(model, |picture| picture.go(direction)),
        FlameCommand::Toggle(node) => in_picture(model, |picture| picture.toggle(node)),
    }
    pursue(model)
}

fn in_picture(model: &mut Model, change: impl FnOnce(&mut Picture)) {
    if let Some(picture) = &mut model.flame.picture {
        change(picture);
    }
}

/// Stops what is being done, and goes back to what the trace alone tells.
fn cancel_flame(model: &mut Model) -> Todo {
    let mut todo = Todo::default();
    for source in [Source::Trace, Source::Recorded, Source::Other] {
        let tile = model.stacks.by_mut(source);
        if tile.is_loading() {
            *tile = Tile::Missing;
            todo.stop.push(Slot::Charge(source));
        }
    }
    model.sites.wants_pinned = false;
    stop_serving(model, &mut todo);
    // What is shown is what is wanted; without anything, nothing is.
    match &model.flame.picture {
        Some(picture) => model.flame.recipe = picture.recipe.clone(),
        None => {
            (model.flame.is_wanted, model.flame.is_stopped) = (false, true);
            model.flame.recipe = Recipe::default();
        }
    }
    todo
}

/// A user does something to the table of sites.
pub fn sites(model: &mut Model, command: SitesCommand) -> Todo {
    let sites = &mut model.sites;
    match command {
        SitesCommand::Want => (sites.is_wanted, sites.is_stopped) = (true, false),
        SitesCommand::Sort(column) => sites.order = sites.order.clicked(column),
        SitesCommand::Filter(text) => sites.order = Order { filter: text, ..sites.order.clone() },
        SitesCommand::Choose(stack) => {
            sites.chosen = Some(stack);
            return flame(model, FlameCommand::Reveal(stack));
        }
        SitesCommand::Pin => sites.wants_pinned = true,
        SitesCommand::Cancel => {
            (sites.is_wanted, sites.is_stopped) = (false, true);
            sites.table = Tile::Missing;
            let mut todo = Todo { stop: vec![Slot::List], start: Vec::new() };
            stop_serving(model, &mut todo);
            return todo;
        }
    }
    pursue(model)
}

/// Stops finding out who served the requests, if that is under way.
fn stop_serving(model: &mut Model, todo: &mut Todo) {
    if model.stacks.servings.is_loading() {
        model.stacks.servings = Tile::Missing;
        todo.stop.push(Slot::Serve);
    }
}

/// A user does something to the table of single allocations.
pub fn allocations(model: &mut Model, command: AllocationsCommand) -> Todo {
    let allocations = &mut model.allocations;
    match command {
        AllocationsCommand::Want => (allocations.is_wanted, allocations.is_stopped) = (true, false),
        AllocationsCommand::Sort(order) => allocations.sorting = allocations.sorting.clicked(order),
        AllocationsCommand::Choose(one) => allocations.chosen = Some(one),
        AllocationsCommand::Places => allocations.wants_places = true,
        AllocationsCommand::Cancel => {
            (allocations.is_wanted, allocations.is_stopped) = (false, true);
            (allocations.asked, allocations.state) = (None, Tile::Missing);
            allocations.wants_places = false;
            let mut todo = Todo { stop: vec![Slot::Scan], start: Vec::new() };
            stop_serving(model, &mut todo);
            return todo;
        }
    }
    pursue(model)
}

/// Something was heard.
pub fn heard(model: &mut Model, slot: Slot, news: News) -> Todo {
    match (slot, news) {
        (Slot::Names, News::Looking(place)) => model.stacks.looking = place,
        (Slot::Names, News::Named(legend)) => model.stacks.legend = Tile::Ready(legend),
        (Slot::Names, News::Failed(failure)) => model.stacks.legend = Tile::Failed(failure),
        (Slot::Charge(source), news) => {
            let tile = model.stacks.by_mut(source);
            match news {
                // Said of settings that were forgotten since.
                _ if !tile.is_loading() => {}
                News::Progress(progress) => *tile = Tile::Loading(Some(progress)),
                News::Charged(blames) => *tile = Tile::Ready(blames),
                News::Failed(failure) => *tile = Tile::Failed(failure),
                _ => {}
            }
        }
        (Slot::List, News::Progress(progress)) => model.sites.table = Tile::Loading(Some(progress)),
        (Slot::List, News::Listed(table)) => model.sites.table = Tile::Ready(table),
        (Slot::List, News::Failed(failure)) => model.sites.table = Tile::Failed(failure),
        (Slot::Serve, News::Progress(progress)) => model.stacks.servings = Tile::Loading(Some(progress)),
        (Slot::Serve, News::Served(servings)) => model.stacks.servings = Tile::Ready(servings),
        (Slot::Serve, News::Failed(failure)) => model.stacks.servings = Tile::Failed(failure),
        (Slot::Scan, news) => model.allocations.heard(news),
        (Slot::Read, News::Read(text)) => model.flame.source.text = Tile::Ready(text),
        (Slot::Grow, News::Grown(tree)) => grown(model, tree),
        (Slot::Sort, News::Sorted(rows, sum)) => {
            if let Some((table, order)) = model.sites.asked.clone() {
                model.sites.sorted = Some(Sorted { table, order, rows, sum: *sum });
            }
        }
        _ => {}
    }
    pursue(model)
}

fn grown(model: &mut Model, tree: Arc<Tree>) {
    let (Some(recipe), Some(legend)) = (model.flame.asked.clone(), model.stacks.legend.ready()) else {
        return;
    };
    let mut blames = sources(recipe.what, recipe.compares)
        .iter()
        .filter_map(|&source| model.stacks.blame(source, recipe.what));
    let Some(first) = blames.next() else { return };
    let totals = Totals::of(first, blames.next());
    let mut picture = Picture::new(recipe, Arc::clone(legend), tree, totals);
    let flame = &mut model.flame;
    if let Some(before) = &flame.picture {
        picture.look_like(before);
    }
    if let Some(stack) = flame.reveal.take() {
        picture.reveal(stack);
    }
    picture.search(&flame.search);
    flame.picture = Some(picture);
}

/// Other records are looked at: what was said of the ones before is not what is asked any more.
pub fn look_at_range(model: &mut Model) -> Todo {
    model.flame.recipe.range = model.range;
    model.stacks.by_trace = Tile::Missing;
    model.sites.table = Tile::Missing;
    // What cannot be begun anew must not go on either.
    let stop = vec![Slot::Charge(Source::Trace), Slot::List];
    let todo = pursue(model);
    Todo { stop, ..todo }
}

/// The frames of stacks are to be named that are shown beside the heap map.
pub fn look_at_names(model: &mut Model) -> Todo {
    pursue(model)
}

/// Other allocations count: nothing that was said before is what is asked any more.
pub fn look_at_filter(model: &mut Model, filter: Filter) -> Todo {
    model.filter = filter;
    model.flame.recipe.filter = filter;
    let mut stop = vec![Slot::List];
    for source in [Source::Trace, Source::Recorded, Source::Other] {
        *model.stacks.by_mut(source) = Tile::Missing;
        stop.push(Slot::Charge(source));
    }
    model.sites.table = Tile::Missing;
    if model.stacks.servings.failure().is_some() {
        model.stacks.servings = Tile::Missing;
    }
    let todo = pursue(model);
    stop.extend(todo.stop);
    Todo { stop, ..todo }
}

/// The other settings are others, or are no more: what was said of them is not true any more.
pub fn forget_other(model: &mut Model) {
    model.stacks.by_other = Tile::Missing;
    model.flame.recipe.compares = false;
    if model.flame.asked.as_ref().is_some_and(|asked| asked.compares) {
        model.flame.asked = None;
    }
}

/// Begins whatever is missing for what is wanted.
fn pursue(model: &mut Model) -> Todo {
    let mut todo = Todo::default();
    let Some(trace) = model.trace.clone() else { return todo };
    if model.stacks.by_other == Tile::Missing {
        todo.stop.push(Slot::Charge(Source::Other));
    }
    let (for_flame, for_sites) = (model.flame.is_wanted, model.sites.is_wanted);
    let scan = scan(model, &trace, &mut todo);
    if for_flame && model.flame.recipe.filter.needs_servings() || for_sites && model.filter.needs_servings() {
        serve(model, &trace, &mut todo);
    }
    todo.start.extend(scan.map(Box::new).map(Work::Scan));
    let for_map = !model.exploring.names.is_empty();
    if (for_flame || for_sites || for_map) && model.stacks.legend == Tile::Missing {
        model.stacks.legend = Tile::Loading(None);
        todo.start.push(Work::Name(trace.clone()));
    }
    // Without names there are no stacks.
    if matches!(model.stacks.legend, Tile::Failed(_)) {
        return todo;
    }
    let mut wanted = Vec::new();
    if for_flame {
        wanted.extend_from_slice(sources(model.flame.recipe.what, model.flame.recipe.compares));
    }
    if for_sites && model.sites.wants_pinned {
        wanted.push(Source::Recorded);
    }
    for source in wanted {
        let trial = match source {
            Source::Other => model.compared().map(|run| run.trial.clone()).unwrap_or_default(),
            _ => Trial::default(),
        };
        // A replay sees itself who serves; the trace alone does not say.
        let only = match source {
            Source::Trace => only(model, model.flame.recipe.filter),
            _ => Some(Only { filter: model.flame.recipe.filter, servings: None }),
        };
        let tile = model.stacks.by_mut(source);
        if let Some(only) = only
            && *tile == Tile::Missing
        {
            *tile = Tile::Loading(None);
            let (trace, trial) = (trace.clone(), Box::new(trial));
            // What is drawn says of which records it is: after a cancelled change, those from before.
            let range = as_range(model.flame.recipe.range).unwrap_or(Range::ALL);
            todo.start.push(Work::Charge(Charge { trace, source, trial, range, only }));
        }
    }
    if for_sites
        && model.sites.table == Tile::Missing
        && let Some(only) = only(model, model.filter)
    {
        model.sites.table = Tile::Loading(None);
        todo.start.push(Work::List(Box::new(List { trace, range: as_range(model.range), only })));
    }
    todo.start.extend(grow(model).map(Box::new).map(Work::Grow));
    todo.start.extend(read(model));
    pin(model);
    todo.start.extend(sort(model).map(Box::new).map(Work::Sort));
    todo
}

/// The source of the function that is looked at, if it is wanted and not there.
fn read(model: &mut Model) -> Option<Work> {
    let flame = &mut model.flame;
    let picture = flame.picture.as_ref().filter(|_| flame.shows_source)?;
    let line = &picture.tree.node(picture.chosen()).line;
    let place = picture.legend.place_in_source(line).filter(|_| picture.chosen() != 0);
    let of = place.and_then(|(file, line)| Some((file.to_owned(), line?)));
    if flame.source.of == of {
        return None;
    }
    let text = if of.is_some() { Tile::Loading(None) } else { Tile::Missing };
    flame.source = FlameSource { of: of.clone(), text };
    of.map(|(file, line)| Work::Read(file, line))
}

/// Which allocations count; nothing as long as it is not known who served them, where that is asked.
fn only(model: &Model, filter: Filter) -> Option<Only> {
    let servings = match filter.needs_servings() {
        true => Some(model.stacks.servings.ready()?.clone()),
        false => None,
    };
    Some(Only { filter, servings })
}

/// Has somebody find out who served the requests, unless that is known or being found out.
fn serve(model: &mut Model, trace: &Path, todo: &mut Todo) {
    if model.stacks.servings == Tile::Missing {
        model.stacks.servings = Tile::Loading(None);
        todo.start.push(Work::Serve(trace.to_owned()));
    }
}

/// A list of single allocations that is wanted and that there is all for.
fn scan(model: &mut Model, trace: &Path, todo: &mut Todo) -> Option<Scan> {
    if !model.allocations.is_wanted {
        return None;
    }
    if model.stacks.legend == Tile::Missing {
        model.stacks.legend = Tile::Loading(None);
        todo.start.push(Work::Name(trace.to_owned()));
    }
    let shows_places = model.allocations.wants_places || model.filter.needs_servings();
    if shows_places {
        serve(model, trace, todo);
    }
    let servings = match shows_places {
        true => Some(model.stacks.servings.ready()?.clone()),
        false => None,
    };
    let asked =
        Asked { sorting: model.allocations.sorting, filter: model.filter, range: model.range, shows_places };
    if !model.allocations.ask(asked) {
        return None;
    }
    Some(Scan {
        trace: trace.to_owned(),
        range: as_range(model.range).unwrap_or(Range::ALL),
        only: Only { filter: model.filter, servings },
        order: asked.sorting.by,
        is_reversed: asked.sorting.is_reversed,
    })
}

fn as_range(range: Option<(u64, u64)>) -> Option<Range> {
    range.and_then(|range| Range::try_from(range).ok())
}

/// A tree that is wanted and that there is all for.
fn grow(model: &mut Model) -> Option<Grow> {
    let recipe = model.flame.recipe.clone();
    if !model.flame.is_wanted || model.flame.asked.as_ref() == Some(&recipe) {
        return None;
    }
    let legend = Arc::clone(model.stacks.legend.ready()?);
    let sources = sources(recipe.what, recipe.compares);
    let mut blames = sources.iter().map(|&source| model.stacks.by(source).ready().cloned());
    let first = blames.next()??;
    let second = match blames.next() {
        Some(second) => Some(second?),
        None => None,
    };
    model.flame.asked = Some(recipe.clone());
    Some(Grow { legend, what: recipe.what, first, second, shape: recipe.shape })
}

/// What stacks pinned belongs to the table as soon as it is known.
fn pin(model: &mut Model) {
    // What is known of the whole trace is nothing to a part of it.
    if model.range.is_some() || model.flame.recipe.filter != model.filter {
        return;
    }
    let Some(pinned) = model.stacks.blame(Source::Recorded, What::Pinned).cloned() else { return };
    let Tile::Ready(table) = &mut model.sites.table else { return };
    if table.pinned.is_none() {
        Arc::make_mut(table).pin(&pinned);
    }
}

/// An order that is wanted of a table that is there.
fn sort(model: &mut Model) -> Option<Sort> {
    let sites = &mut model.sites;
    let table = Arc::clone(sites.table.ready()?);
    let is_same =
        |(asked, order): &(Arc<SiteTable>, Order)| Arc::ptr_eq(asked, &table) && *order == sites.order;
    if sites.asked.as_ref().is_some_and(is_same) {
        return None;
    }
    let filter = match sites.order.filter.trim() {
        "" => None,
        text => Some((text.to_owned(), Arc::clone(model.stacks.legend.ready()?))),
    };
    sites.asked = Some((Arc::clone(&table), sites.order.clone()));
    Some(Sort { table, by: sites.order.by, is_descending: sites.order.is_descending, filter })
}

#[cfg(test)]
mod tests {
    use super::*;
    use malloscope_replayer::blame::legend::Legend;
    use malloscope_replayer::blame::{Blame, Unit};
    use malloscope_replayer::export::names::Offsets;
    use malloscope_replayer::run::Progress;
    use malloscope_traces::Stacks;

    fn blames(what: What) -> Arc<Vec<Blame>> {
        let (unit, rows) = (Unit::Bytes, Vec::new());
        let blame = Blame { what, unit, total: 7.0, left_out: 0.0, standard_error: None, rows };
        Arc::new(vec![blame])
    }

    /// A model whose trace has stacks, the flamegraph of which is looked at.
    fn looked_at() -> (Model, Todo) {
        let mut model = Model { trace: Some("a.mscope".into()), ..Model::default() };
        let todo = flame(&mut model, FlameCommand::Want);
        let legend = Legend::of(&Stacks::default(), Offsets);
        heard(&mut model, Slot::Names, News::Named(Arc::new(legend)));
        (model, todo)
    }

    fn kinds(todo: &Todo) -> Vec<Slot> {
        todo.start.iter().map(Work::slot).collect()
    }

    #[test]
    fn nothing_is_done_before_somebody_looks_and_then_each_thing_once() {
        let mut model = Model { trace: Some("a.mscope".into()), ..Model::default() };
        assert_eq!(kinds(&flame(&mut model, FlameCommand::Of(What::Calls))), []);
        let (mut model, todo) = looked_at();
        assert_eq!(kinds(&todo), [Slot::Names, Slot::Charge(Source::Trace)]);
        assert_eq!(kinds(&flame(&mut model, FlameCommand::Want)), []);
        let charged = News::Charged(blames(What::Bytes));
        let todo = heard(&mut model, Slot::Charge(Source::Trace), charged);
        assert_eq!(kinds(&todo), [Slot::Grow]);
        assert_eq!(kinds(&sites(&mut model, SitesCommand::Want)), [Slot::List]);
    }

    #[test]
    fn what_was_said_of_settings_that_were_forgotten_is_not_believed() {
        let (mut model, _) = looked_at();
        flame(&mut model, FlameCommand::Of(What::Pinned));
        let todo = flame(&mut model, FlameCommand::Compare(true));
        assert_eq!(kinds(&todo), [Slot::Charge(Source::Other)]);
        forget_other(&mut model);
        let todo = heard(&mut model, Slot::Charge(Source::Other), News::Charged(blames(What::Pinned)));
        assert_eq!(model.stacks.by_other, Tile::Missing);
        assert!(todo.stop.contains(&Slot::Charge(Source::Other)) && !model.flame.recipe.compares);
    }

    #[test]
    fn another_range_is_another_picture_and_another_table() {
        let (mut model, _) = looked_at();
        heard(&mut model, Slot::Charge(Source::Trace), News::Charged(blames(What::Bytes)));
        model.range = Some((3, 9));
        let todo = look_at_range(&mut model);
        let range = Range::new(3, 9).unwrap();
        let [Work::Charge(charge)] = &todo.start[..] else { panic!("{todo:?}") };
        assert_eq!((charge.source, charge.range), (Source::Trace, range));
        let charged = News::Charged(blames(What::Bytes));
        assert_eq!(kinds(&heard(&mut model, Slot::Charge(Source::Trace), charged)), [Slot::Grow]);
        let list = List { trace: "a.mscope".into(), range: Some(range), only: Only::default() };
        let list = Work::List(Box::new(list));
        assert_eq!(sites(&mut model, SitesCommand::Want).start, [list]);
    }

    #[test]
    fn another_filter_is_another_picture_and_places_are_found_out_once() {
        let (mut model, _) = looked_at();
        heard(&mut model, Slot::Charge(Source::Trace), News::Charged(blames(What::Bytes)));
        let filter = Filter { thread: Some(2), ..Filter::default() };
        let todo = look_at_filter(&mut model, filter);
        let [Work::Charge(charge)] = &todo.start[..] else { panic!("{todo:?}") };
        assert_eq!((charge.only.filter, todo.stop.contains(&Slot::Charge(Source::Trace))), (filter, true));
        let places = Filter { places: "top".parse().ok(), ..filter };
        assert_eq!(kinds(&look_at_filter(&mut model, places)), [Slot::Serve]);
        assert_eq!(kinds(&sites(&mut model, SitesCommand::Want)), []);
        assert_eq!(kinds(&allocations(&mut model, AllocationsCommand::Want)), []);
        let todo = heard(&mut model, Slot::Serve, News::Served(Arc::default()));
        let expected = [Slot::Charge(Source::Trace), Slot::List, Slot::Scan];
        assert!(expected.iter().all(|slot| kinds(&todo).contains(slot)), "{todo:?}");
        // What a replay says, it has seen itself.
        model.stacks.servings = Tile::Missing;
        flame(&mut model, FlameCommand::Of(What::Pinned));
        assert_eq!(
            kinds(&look_at_filter(&mut model, filter)),
            [Slot::Scan, Slot::Charge(Source::Recorded), Slot::List]
        );
        assert_eq!(model.flame.recipe.filter, filter);
    }

    #[test]
    fn places_that_take_too_long_are_not_waited_for() {
        let (mut model, _) = looked_at();
        allocations(&mut model, AllocationsCommand::Want);
        allocations(&mut model, AllocationsCommand::Places);
        assert!(model.stacks.servings.is_loading());
        let todo = allocations(&mut model, AllocationsCommand::Cancel);
        assert_eq!((todo.stop, todo.start), (vec![Slot::Scan, Slot::Serve], Vec::new()));
        assert_eq!(kinds(&allocations(&mut model, AllocationsCommand::Want)), [Slot::Scan]);
    }

    #[test]
    fn what_takes_too_long_is_cancelled_and_what_was_there_is_there_again() {
        let (mut model, _) = looked_at();
        flame(&mut model, FlameCommand::Of(What::Pinned));
        let progress = Progress { done: 1, total: None };
        heard(&mut model, Slot::Charge(Source::Recorded), News::Progress(progress));
        let todo = flame(&mut model, FlameCommand::Cancel);
        assert!(todo.start.is_empty() && todo.stop.contains(&Slot::Charge(Source::Recorded)));
        assert_eq!((model.flame.recipe.what, model.flame.is_wanted), (What::Bytes, false));
        assert_eq!(model.stacks.by_recorded, Tile::Missing);
    }
}
