//! A queue of spans whose first one lies in the queue itself.
//!
//! Nearly always there is one span or none. Kept beside the state of its owner it costs an idle
//! connection no heap memory, and a message no cold line for it.
#![forbid(unsafe_code)]

use std::collections::{VecDeque, vec_deque};

use super::span::Span;

/// Spans in order. **Invariant:** `rest` is empty if there is no `first`.
#[derive(Debug, Default)]
pub(crate) struct SpanQueue {
    first: Option<Span>,
    /// Made for the first second span.
    #[expect(clippy::box_collection, reason = "an idle connection keeps two queues, both empty")]
    rest: Option<Box<VecDeque<Span>>>,
}

impl SpanQueue {
    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn push_back(&mut self, span: Span) {
        if self.first.is_none() {
            self.first = Some(span);
        } else {
            self.rest.get_or_insert_default().push_back(span);
        }
    }

    pub(crate) fn push_front(&mut self, span: Span) {
        if let Some(second) = self.first.replace(span) {
            self.rest.get_or_insert_default().push_front(second);
        }
    }

    pub(crate) fn pop_front(&mut self) -> Option<Span> {
        let span = self.first.take()?;
        self.first = self.rest.as_mut().and_then(|rest| rest.pop_front());
        Some(span)
    }

    pub(crate) fn front(&self) -> Option<&Span> {
        self.first.as_ref()
    }

    pub(crate) fn front_mut(&mut self) -> Option<&mut Span> {
        self.first.as_mut()
    }

    pub(crate) fn back_mut(&mut self) -> Option<&mut Span> {
        self.rest.as_mut().and_then(|rest| rest.back_mut()).or(self.first.as_mut())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Span> {
        self.first.iter().chain(self.rest())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Span> {
        self.first.iter_mut().chain(self.rest.as_deref_mut().into_iter().flatten())
    }

    /// Takes out every span but the first `count`.
    pub(crate) fn split_off(&mut self, count: usize) -> Self {
        match (count.checked_sub(1), &mut self.rest) {
            (None, _) => std::mem::take(self),
            (Some(_), None) => Self::default(),
            (Some(kept), Some(rest)) => {
                let mut rest = rest.split_off(kept.min(rest.len()));
                Self { first: rest.pop_front(), rest: (!rest.is_empty()).then(|| rest.into()) }
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.first = None;
        if let Some(rest) = &mut self.rest {
            rest.clear();
        }
    }

    /// The spans behind the first.
    fn rest(&self) -> vec_deque::Iter<'_, Span> {
        self.rest.as_ref().map(|rest| rest.iter()).unwrap_or_default()
    }
}

impl IntoIterator for SpanQueue {
    type Item = Span;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Span>, vec_deque::IntoIter<Span>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.rest.map(|rest| *rest).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{Strategy, any, prop_assert_eq, prop_oneof, proptest};

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Push(u8),
        PushFront(u8),
        Pop,
        SplitOff(usize),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => any::<u8>().prop_map(Step::Push),
            2 => any::<u8>().prop_map(Step::PushFront),
            4 => proptest::strategy::Just(Step::Pop),
            2 => (0..6usize).prop_map(Step::SplitOff),
            1 => proptest::strategy::Just(Step::Clear),
        ]
    }

    fn bytes(spans: impl IntoIterator<Item = Span>) -> Vec<u8> {
        spans.into_iter().map(|span| span[0]).collect()
    }

    proptest! {
        /// The first span lies elsewhere than the others; nothing must show it.
        #[test]
        fn does_what_one_deque_does(steps in vec(step(), 0..60)) {
            let mut queue = SpanQueue::default();
            let mut model: VecDeque<u8> = VecDeque::new();
            for step in steps {
                match step {
                    Step::Push(byte) => {
                        queue.push_back(Span::from(vec![byte]));
                        model.push_back(byte);
                    }
                    Step::PushFront(byte) => {
                        queue.push_front(Span::from(vec![byte]));
                        model.push_front(byte);
                    }
                    Step::Pop => {
                        prop_assert_eq!(queue.pop_front().map(|span| span[0]), model.pop_front());
                    }
                    Step::SplitOff(count) => {
                        let count = count.min(model.len());
                        let split = Vec::from(model.split_off(count));
                        prop_assert_eq!(bytes(queue.split_off(count)), split);
                    }
                    Step::Clear => {
                        queue.clear();
                        model.clear();
                    }
                }
                prop_assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(queue.front().map(|span| span[0]), model.front().copied());
                prop_assert_eq!(queue.front_mut().map(|span| span[0]), model.front().copied());
                prop_assert_eq!(queue.back_mut().map(|span| span[0]), model.back().copied());
                let seen: Vec<u8> = queue.iter().map(|span| span[0]).collect();
                prop_assert_eq!(&seen, &Vec::from(model.clone()));
                prop_assert_eq!(queue.iter_mut().count(), seen.len());
            }
        }
    }
}
